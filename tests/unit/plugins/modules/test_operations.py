"""kubeadm_init and kubeadm_join: what they run, when they run nothing, and how they leave the node."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _lock, _node_operation
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, json_documents
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import Marker
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_init
from ansible_collections.kubestead.cluster.plugins.modules.kubeadm_init import Init
from ansible_collections.kubestead.cluster.plugins.modules.kubeadm_join import Join

TOKEN = "abcdef.0123456789abcdef"
PIN = "sha256:" + "ab" * 32


class Node:
    """A node in a directory, and kubeadm on it as far as files and exit codes go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[list[str]] = []
        self.configuration: list[dict[str, Any]] = []
        self.stage_while_running = ""
        self.check_mode = False
        self.params: dict[str, Any] = {}
        self.no_log_values: set[str] = set()
        self.exit_code = 0

    def put(self, path: str, text: str = "x") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        self.commands.append(command)
        if command[:2] in (["kubeadm", "init"], ["kubeadm", "join"]):
            path = command[command.index("--config") + 1]
            assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
            self.configuration = json_documents(Path(path).read_text(encoding="utf-8").replace("---\n", ""))
            self.stage_while_running = KubernetesState(str(self.root)).stage
            return self.exit_code, "", f"error: token {TOKEN} was refused\n" if self.exit_code else ""
        return 0, "", ""

    def ran(self) -> list[str]:
        return [" ".join(command[:2]) for command in self.commands]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    marker = str(tmp_path / "var/lib/kubestead/in-progress.json")
    secrets = str(tmp_path / "run/kubestead")
    node_lock, directory, forget = _lock.node_lock, _lock.secret_directory, _lock.forget_secrets
    monkeypatch.setattr(_node_operation, "KubernetesState", lambda: KubernetesState(str(tmp_path)))
    monkeypatch.setattr(_node_operation, "Marker", lambda: Marker(marker))
    monkeypatch.setattr(_node_operation, "SECRETS_PATH", secrets)
    monkeypatch.setattr(_node_operation, "KUBELET_CONFIG", str(tmp_path / "var/lib/kubelet/config.yaml"))
    monkeypatch.setattr(_node_operation, "ETCD_DATA", str(tmp_path / "var/lib/etcd"))
    monkeypatch.setattr(
        _node_operation, "node_lock", lambda timeout: node_lock(timeout, str(tmp_path / "run/kubestead.lock"))
    )
    monkeypatch.setattr(_node_operation, "secret_directory", lambda path=secrets: directory(path))
    monkeypatch.setattr(_node_operation, "forget_secrets", lambda: forget(secrets))
    return Node(tmp_path)


@pytest.fixture
def init(node: Node) -> Callable[..., Init]:
    def make(*config: dict[str, Any], **changes: Any) -> Init:
        node.params = {
            "config": list(config),
            "patches_directory": None,
            "ignore_preflight_errors": [],
            "skip_phases": [],
            "timeout": 5,
            **changes,
        }
        return Init(node)  # type: ignore[arg-type]

    return make


@pytest.fixture
def join(node: Node) -> Callable[..., Join]:
    def make(**changes: Any) -> Join:
        node.params = {
            "endpoint": "10.0.0.1:6443",
            "token": TOKEN,
            "ca_cert_hashes": [PIN],
            "control_plane": False,
            "certificate_key": None,
            "node_name": None,
            "config": {},
            "patches_directory": None,
            "ignore_preflight_errors": [],
            "skip_phases": [],
            "timeout": 5,
            **changes,
        }
        return Join(node)  # type: ignore[arg-type]

    return make


def left_behind(root: Path) -> list[str]:
    """Files that are there, but for the lock, which holds nothing."""
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "kubestead.lock"
    )


def test_init_validates_then_runs_marked_then_revokes_its_token(node: Node, init: Callable[..., Init]) -> None:
    operation = init({"kind": "ClusterConfiguration"}, ignore_preflight_errors=["Mem", "NumCPU"], skip_phases=["addon"])
    result = operation.perform()
    assert result["changed"]
    assert result["stage_before"] == "absent"
    assert node.ran() == ["kubeadm config", "kubeadm init", "kubeadm token", "kubectl annotate"]
    assert node.stage_while_running == "interrupted"
    assert "Mem,NumCPU" in node.commands[1]
    assert "--skip-token-print" in node.commands[1]
    assert node.commands[2][2:4] == ["delete", operation.token[:6]]
    assert operation.token in node.no_log_values
    assert not any(operation.token in part for command in node.commands for part in command)
    assert left_behind(node.root) == []


def test_a_token_that_cannot_be_deleted_at_once_is_tried_again(
    node: Node, init: Callable[..., Init], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    operation = init()
    monkeypatch.setattr(operation.kubeadm, "delete_token", lambda *_arguments, **_options: next(answers))
    assert operation.perform()["warnings"] == []
    assert next(answers, "asked twice") == "asked twice"


def test_what_kubeadm_leaves_open_is_roots_alone(node: Node, init: Callable[..., Init]) -> None:
    node.put("var/lib/kubelet/config.yaml")
    node.put("var/lib/elsewhere/member/wal")
    # A disk of its own: there before, and open to everybody.
    (node.root / "var/lib/etcd").symlink_to(node.root / "var/lib/elsewhere")
    operation = init({"kind": "ClusterConfiguration"})
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("init")
    operation.perform()
    assert (node.root / "var/lib/kubelet/config.yaml").stat().st_mode & 0o777 == 0o600
    assert (node.root / "var/lib/elsewhere").stat().st_mode & 0o777 == 0o700


def test_init_s_configuration_is_the_given_one_with_a_token_of_its_own(node: Node, init: Callable[..., Init]) -> None:
    given = {"kind": "InitConfiguration", "nodeRegistration": {"name": "n"}, "bootstrapTokens": [{"token": TOKEN}]}
    operation = init({"kind": "ClusterConfiguration"}, given, patches_directory="/p")
    operation.perform()
    first, second = node.configuration
    assert first["nodeRegistration"] == {"name": "n"}
    assert first["patches"] == {"directory": "/p"}
    assert [token["token"] for token in first["bootstrapTokens"]] == [operation.token]
    assert second == {"kind": "ClusterConfiguration"}


def test_check_mode_validates_and_predicts(node: Node, init: Callable[..., Init], join: Callable[..., Join]) -> None:
    node.check_mode = True
    assert init({"kind": "ClusterConfiguration"}).perform()["changed"]
    assert join(token="").perform()["changed"]
    assert node.ran() == ["kubeadm config", "kubeadm config"]
    assert left_behind(node.root) == []


def test_a_failure_keeps_the_mark_tells_the_way_and_no_secret(node: Node, init: Callable[..., Init]) -> None:
    node.exit_code = 1
    with pytest.raises(KubesteadError) as caught:
        init({"kind": "ClusterConfiguration"}).perform()
    assert "run the same again" in caught.value.message
    assert "0123456789abcdef" not in caught.value.message + json.dumps(caught.value.details)
    assert left_behind(node.root) == ["var/lib/kubestead/in-progress.json"]
    assert "kubeadm token" in node.ran()


def test_what_was_interrupted_is_reset_first(node: Node, init: Callable[..., Init], join: Callable[..., Join]) -> None:
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("init")
    assert init({"kind": "ClusterConfiguration"}).perform()["stage_before"] == "interrupted"
    assert node.ran() == ["kubeadm config", "kubeadm reset", "kubeadm init", "kubeadm token", "kubectl annotate"]
    node.commands.clear()
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("join")
    join().perform()
    assert node.ran() == ["kubeadm config", "kubeadm reset", "kubeadm join"]


def test_traces_of_others_are_not_touched(node: Node, init: Callable[..., Init]) -> None:
    node.put("etc/kubernetes/kubelet.conf")
    with pytest.raises(KubesteadError, match="They are not touched"):
        init({"kind": "ClusterConfiguration"}).perform()
    assert node.commands == []


@pytest.fixture
def member(node: Node, recorded: Callable[[str], str]) -> str:
    node.put("etc/kubernetes/kubelet.conf", recorded("kubelet.conf"))
    node.put("etc/kubernetes/pki/ca.crt", recorded("cluster_ca.pem"))
    node.put("var/lib/kubelet/pki/kubelet-client-current.pem", recorded("kubelet_client.pem"))
    return str(KubernetesState(str(node.root)).ca_hash)


def test_a_member_is_left_as_it_is(node: Node, join: Callable[..., Join], member: str) -> None:
    result = join(ca_cert_hashes=[member]).perform()
    assert (result["changed"], result["stage_before"], result["node_name"]) == (False, "member", "control-plane-1")
    assert node.commands == []


@pytest.mark.usefixtures("member")
def test_a_member_of_another_cluster_is_an_error(join: Callable[..., Join]) -> None:
    with pytest.raises(KubesteadError, match="member of another cluster"):
        join().perform()


@pytest.mark.usefixtures("member")
def test_a_worker_does_not_become_a_control_plane(init: Callable[..., Init], join: Callable[..., Join]) -> None:
    for operation in (init({"kind": "ClusterConfiguration"}), join(control_plane=True)):
        with pytest.raises(KubesteadError, match="A node cannot change its part"):
            operation.perform()


def test_a_worker_that_was_all_but_joined_is_finished_without_a_reset(
    node: Node, join: Callable[..., Join], member: str
) -> None:
    node.put("run/kubestead/tmp/kubeadm.yaml", TOKEN)
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("join")
    result = join(ca_cert_hashes=[member]).perform()
    assert (result["changed"], result["stage_before"]) == (True, "interrupted")
    assert node.ran() == ["systemctl start"]
    assert not any("kubestead" in path for path in left_behind(node.root))


def test_join_s_configuration(node: Node, join: Callable[..., Join]) -> None:
    wanted = {
        "timeouts": {"discovery": "1m0s"},
        "nodeRegistration": {"taints": []},
        "controlPlane": {"localAPIEndpoint": {}},
    }
    join(config=wanted, node_name="w", patches_directory="/p").perform()
    (document,) = node.configuration
    assert document["discovery"]["bootstrapToken"] == {
        "apiServerEndpoint": "10.0.0.1:6443",
        "token": TOKEN,
        "caCertHashes": [PIN],
    }
    assert document["nodeRegistration"] == {"name": "w", "taints": []}
    assert document["timeouts"] == {"discovery": "1m0s", "etcdAPICall": "5m0s"}
    assert document["patches"] == {"directory": "/p"}
    assert "controlPlane" not in document
    join(config=wanted, control_plane=True, certificate_key="0f" * 32).perform()
    (document,) = node.configuration
    assert document["controlPlane"] == {"localAPIEndpoint": {}, "certificateKey": "0f" * 32}
    assert not any("0f0f" in part for command in node.commands for part in command)


def test_a_malformed_token_is_refused_before_anything_is_begun(node: Node, join: Callable[..., Join]) -> None:
    with pytest.raises(KubesteadError, match=r"kubestead\.cluster\.kubeadm_token"):
        join(token="nonsense").perform()
    assert left_behind(node.root) == []


EXTERNAL = {
    "endpoints": ["https://etcd-1:2379"],
    "caFile": "/e/ca.crt",
    "certFile": "/e/client.crt",
    "keyFile": "/e/client.key",
}
OUTSIDE: dict[str, Any] = {"kind": "ClusterConfiguration", "etcd": {"external": EXTERNAL}}


class FakeEtcd:
    """An etcd of the user's own that answers, or raises, what a test has set."""

    reply: Callable[[], bool | None]
    asked: list[str]

    def __init__(self, external: dict[str, Any]) -> None:
        assert external == EXTERNAL

    def holds(self, prefix: str) -> bool | None:
        FakeEtcd.asked.append(prefix)
        return FakeEtcd.reply()


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> type[FakeEtcd]:
    monkeypatch.setattr(FakeEtcd, "reply", Mock(return_value=False), raising=False)
    monkeypatch.setattr(FakeEtcd, "asked", [], raising=False)
    monkeypatch.setattr(kubeadm_init, "ExternalEtcd", FakeEtcd)
    return FakeEtcd


@pytest.mark.parametrize("answer", [False, None])
def test_an_etcd_of_ones_own_that_is_empty_or_does_not_tell_is_taken(
    node: Node, init: Callable[..., Init], etcd: type[FakeEtcd], answer: bool | None
) -> None:
    etcd.reply = Mock(return_value=answer)
    assert init(OUTSIDE).perform()["changed"]
    assert etcd.asked == ["/registry"]
    assert "kubeadm init" in node.ran()


def test_another_cluster_s_etcd_is_not_written_over(
    node: Node, init: Callable[..., Init], etcd: type[FakeEtcd]
) -> None:
    etcd.reply = Mock(return_value=True)
    prefix = {"extraArgs": [{"name": "v", "value": "4"}, {"name": "etcd-prefix", "value": "/mine/"}]}
    with pytest.raises(KubesteadError, match="etcdctl del --prefix /mine/` removes"):
        init({**OUTSIDE, "apiServer": prefix}).perform()
    assert node.ran() == ["kubeadm config"]
    assert left_behind(node.root) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            KubesteadError("No member of etcd answers: etcd-1:2379: refused."),
            "refused. Nothing was changed. Look whether",
        ),
        (
            FileNotFoundError("No such file"),
            r"cannot be used \(/e/ca.crt, /e/client.crt, /e/client.key\): No such file",
        ),
    ],
)
def test_an_etcd_that_cannot_be_asked_stops_init_before_it_leaves_a_mark(
    node: Node, init: Callable[..., Init], etcd: type[FakeEtcd], answer: Exception, words: str
) -> None:
    etcd.reply = Mock(side_effect=answer)
    with pytest.raises(KubesteadError, match=words):
        init(OUTSIDE).perform()
    assert left_behind(node.root) == []


def test_who_brings_the_clusters_authority_goes_on_with_its_data(
    node: Node, init: Callable[..., Init], etcd: type[FakeEtcd], recorded: Callable[[str], str]
) -> None:
    etcd.reply = Mock(return_value=True)
    node.put("etc/kubernetes/pki/ca.crt", recorded("cluster_ca.pem"))
    assert init(OUTSIDE).perform()["changed"]


def test_what_an_interrupted_init_has_written_into_etcd_is_its_own(
    node: Node, init: Callable[..., Init], etcd: type[FakeEtcd]
) -> None:
    etcd.reply = Mock(return_value=True)
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("init")
    init(OUTSIDE).perform()
    assert etcd.asked == []
    assert node.commands[1] == ["kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member"]
    assert node.commands[-1][:3] == ["kubeadm", "token", "list"], "the attempt's token outlives the reset there"


def test_an_interrupted_join_leaves_an_etcd_of_ones_own_alone(
    node: Node, join: Callable[..., Join], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = node.root / "etc/kubernetes/admin.conf"
    monkeypatch.setattr(_node_operation, "ADMIN_CONF", str(admin))
    node.put("etc/kubernetes/admin.conf")
    node.put("etc/kubernetes/manifests/kube-apiserver.yaml", "    - --etcd-servers=https://etcd-1:2379\n")
    Marker(str(node.root / "var/lib/kubestead/in-progress.json")).write("join")
    join(control_plane=True, certificate_key="0f" * 32).perform()
    assert ["kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member"] in node.commands
