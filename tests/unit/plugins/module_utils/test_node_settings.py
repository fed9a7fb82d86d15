"""One node brought to new settings: what differs, in which order, what is put back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _node_settings
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._node_settings import (
    CERTIFICATE,
    KUBELET_CONFIGURATION,
    MANIFESTS,
    NodeSettings,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

from .test_settings import API_SERVER, CONTROLLER, DOCUMENTS, ETCD

KUBELET = "clusterDomain: cluster.local\nmaxPods: 110\n"
PRESENT = {
    f"{MANIFESTS}/etcd.yaml": ETCD.format("a=https://192.0.2.11:2380"),
    f"{MANIFESTS}/kube-apiserver.yaml": API_SERVER,
    f"{MANIFESTS}/kube-controller-manager.yaml": CONTROLLER,
    KUBELET_CONFIGURATION: KUBELET,
}


class Pods:
    """Static pods of which some do not become healthy."""

    def __init__(self, files: dict[str, str], done: list[str]) -> None:
        self.files = files
        self.done = done
        self.broken = "--unknown"

    def container(self, name: str) -> str:
        return f"{name}-{len(self.done)}"

    def attempts(self, _name: str, _old: str) -> int:
        return self.done.count("kube-apiserver")

    def wait_for_new(self, name: str, _old: str, _timeout: float) -> str:
        self.done.append(name)
        if self.broken in self.files[f"{MANIFESTS}/{name}.yaml"]:
            raise KubesteadError(f"Waited 180 s for a new and healthy {name}. unknown flag: --unknown")
        return "new"


class Node:
    """A control plane with its files; what kubeadm would write is what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.files = dict(PRESENT)
        self.wanted = dict(PRESENT)
        self.names = set(_node_settings.settings.names_of_certificate(DOCUMENTS, "control-plane-1"))
        self.done: list[str] = []
        self.modes: set[int] = set()
        self.members = ["control-plane-1", "control-plane-2"]
        self.silent: set[str] = set()
        node = self

        class Etcd:
            def __init__(self, hosts: Any, **_options: Any) -> None:
                self.hosts = list(hosts)

            def members(self) -> list[Any]:
                return [_node_settings.Member("1", name, (name,), False) for name in node.members]

            def status(self) -> dict[str, Any]:
                if set(self.hosts) & node.silent:
                    raise KubesteadError("No member of etcd answers: control-plane-2: refused.")
                return {}

        monkeypatch.setattr(_node_settings, "read_text", self.files.get)
        monkeypatch.setattr(_node_settings, "_write", self._write)
        monkeypatch.setattr(_node_settings, "node_lock", lambda _timeout: nullcontext(3))
        monkeypatch.setattr(_node_settings, "Etcd", Etcd)
        self.settings = NodeSettings(module)
        self.settings.pods = Pods(self.files, self.done)
        for name, value in {
            "state": State(),
            "_render": lambda _documents: dict(self.wanted),
            "_restart_kubelet": lambda: self.done.append("kubelet"),
            "_renew_certificate": lambda: self.done.append("certificate"),
            "_certificate_differences": self.certificate,
        }.items():
            monkeypatch.setattr(self.settings, name, value)

    def _write(self, path: str, text: str, mode: int) -> None:
        self.files[path] = text
        self.modes.add(mode)

    def certificate(self, documents: list[dict[str, Any]]) -> list[Any]:
        wanted = _node_settings.settings.names_of_certificate(documents, "control-plane-1")
        return [] if wanted == self.names else [_node_settings.Difference(CERTIFICATE, "apiserver.crt", "", "")]

    def want(self, name: str, line: str) -> None:
        """Have kubeadm write one more argument into a manifest."""
        self.wanted[f"{MANIFESTS}/{name}.yaml"] += f"    - {line}\n"


class State:
    """A member that is a control plane."""

    stage = "member"
    role = "control_plane"
    node_name = "control-plane-1"
    external_etcd: tuple[str, ...] = ()


@pytest.fixture
def module(fake_module: Callable[..., Any], tmp_path: Path) -> Any:
    endpoint = {**DOCUMENTS[1], "controlPlaneEndpoint": "192.0.2.10:6443"}
    made = fake_module(
        lambda _command, _data: (0, "", ""), config=[DOCUMENTS[0], endpoint, *DOCUMENTS[2:]], timeout=180
    )
    made.tmpdir = str(tmp_path)
    return made


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, module: Any) -> Node:
    return Node(monkeypatch, module)


def test_nothing_is_touched_where_nothing_differs(node: Node) -> None:
    result = node.settings.perform()
    assert (result["changed"], result["differences"], node.done) == (False, [], [])


def test_only_what_differs_is_restarted_and_etcd_comes_first(node: Node) -> None:
    node.want("kube-apiserver", "--request-timeout=70s")
    node.want("etcd", "--quota-backend-bytes=1")
    node.wanted[KUBELET_CONFIGURATION] = KUBELET.replace("110", "120")
    node.names = set()
    result = node.settings.perform()
    assert result["restarted"] == ["etcd", "kube-apiserver", "kubelet"]
    assert node.done == ["etcd", "kube-apiserver", "certificate", "kubelet"]
    assert node.files == node.wanted
    assert node.settings.perform()["restarted"] == []
    assert node.modes == {0o600}, "the kubelet's configuration is root's alone too"


def test_check_mode_tells_and_touches_nothing(node: Node, module: Any) -> None:
    module.check_mode = True
    module._diff = True
    node.want("kube-apiserver", "--request-timeout=70s")
    result = node.settings.perform()
    assert result["differences"] == [
        {"service": "kube-apiserver", "path": f"{MANIFESTS}/kube-apiserver.yaml"},
    ]
    assert "password" not in result["diff"][0]["after"]
    assert (node.done, node.files) == ([], PRESENT)


def test_what_does_not_run_gets_its_old_file_back_and_the_rest_is_left(node: Node) -> None:
    node.want("kube-apiserver", "--unknown=1")
    node.wanted[KUBELET_CONFIGURATION] = KUBELET.replace("110", "120")
    with pytest.raises(KubesteadError, match="runs as before") as caught:
        node.settings.perform()
    assert "unknown flag: --unknown" in caught.value.message
    assert node.files == PRESENT
    # Two turns of waiting, then it is seen to begin again and again; one for the old file.
    assert node.done == ["kube-apiserver"] * 3


def test_etcd_is_left_alone_while_another_member_is_silent(node: Node) -> None:
    node.want("etcd", "--quota-backend-bytes=1")
    node.silent = {"control-plane-2"}
    with pytest.raises(KubesteadError, match="control-plane-2 does not answer"):
        node.settings.perform()
    assert (node.done, node.files) == ([], PRESENT)


@pytest.mark.parametrize(
    ("name", "old", "new", "setting"),
    [
        ("kube-controller-manager", "10.244.0.0/16", "10.245.0.0/16", "cluster_pod_cidr"),
        ("kube-apiserver", "10.96.0.0/12", "10.112.0.0/12", "cluster_service_cidr"),
        ("etcd", "/var/lib/etcd", "/data", "etcd.local.dataDir"),
    ],
)
def test_what_stays_is_refused_whichever_variable_it_comes_by(
    node: Node, name: str, old: str, new: str, setting: str
) -> None:
    path = f"{MANIFESTS}/{name}.yaml"
    node.wanted[path] = node.wanted[path].replace(old, new)
    with pytest.raises(KubesteadError, match="Nothing was changed") as caught:
        node.settings.perform()
    assert caught.value.message.startswith(setting)
    assert f"is {old} in this cluster and cannot become {new}" in caught.value.message
    assert (node.done, node.files) == ([], PRESENT)


def test_another_endpoint_is_refused(node: Node) -> None:
    node.files["/etc/kubernetes/admin.conf"] = "    server: https://192.0.2.99:6443\n"
    with pytest.raises(KubesteadError, match=r"cluster_endpoint.*is 192\.0\.2\.99:6443"):
        node.settings.perform()


def test_a_control_plane_does_not_leave_its_etcd(node: Node) -> None:
    del node.wanted[f"{MANIFESTS}/etcd.yaml"]
    with pytest.raises(
        KubesteadError, match="is etcd on the control planes in this cluster and cannot become an etcd of your own"
    ):
        node.settings.perform()


def test_a_machine_that_is_no_member_is_left_alone(node: Node) -> None:
    node.settings.state.stage = "absent"
    node.want("kube-apiserver", "--request-timeout=70s")
    assert node.settings.perform()["changed"] is False


class Kubelet:
    """systemctl and kubectl: after a restart the kubelet reports at the third look, and then the node is Ready at once or never."""

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready
        self.looks = 0
        self.restarted = False

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        if "restart" in command:
            self.restarted = True
        if "lease" in command:
            self.looks += 1
            moment = "2099-01-01T00:00:00.000000Z" if self.looks > 2 else "2026-01-01T00:00:00.000000Z"
            return 0, json.dumps({"kind": "Lease", "spec": {"renewTime": moment}}), ""
        if "node" in command:
            condition = {"type": "Ready", "status": "True" if self.ready else "False"}
            return 0, json.dumps({"kind": "Node", "status": {"conditions": [condition]}}), ""
        return 0, "", ""


@pytest.fixture
def restart(fake_module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[Kubelet], None]:
    def run(kubelet: Kubelet) -> None:
        clock = iter(range(10_000))

        def quick(*arguments: Any, **options: Any) -> Any:
            options.update(clock=lambda: float(next(clock)), sleep=lambda _seconds: None)
            return wait_for(*arguments, **options)

        monkeypatch.setattr(_node_settings, "wait_for", quick)
        settings = NodeSettings(fake_module(kubelet.answer, config=[], timeout=30))
        monkeypatch.setattr(settings, "state", State())
        settings._restart_kubelet()

    return run


def test_a_kubelet_is_waited_for_until_it_has_reported_since_its_restart(restart: Callable[[Kubelet], None]) -> None:
    kubelet = Kubelet()
    restart(kubelet)
    assert (kubelet.restarted, kubelet.looks) == (True, 3)


def test_a_node_that_does_not_become_ready_is_an_error(restart: Callable[[Kubelet], None]) -> None:
    with pytest.raises(KubesteadError, match="Last seen: the node is not Ready"):
        restart(Kubelet(ready=False))


def test_without_the_authoritys_key_it_is_said_what_to_sign(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_node_settings, "PKI", str(tmp_path))
    with pytest.raises(KubesteadError, match="Have your authority sign a certificate with these names") as caught:
        NodeSettings._renew_certificate(node.settings)
    assert "api.example.org" in caught.value.message


def test_a_worker_is_not_taken_for_one_with_somebody_elses_authority(
    fake_module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kubeadm refuses to render where there is an authority without its key: it is not let look at the worker's."""

    def kubeadm(command: list[str], _data: str | None) -> tuple[int, str, str]:
        config = Path(command[command.index("--config") + 1])
        directory = json.loads(config.read_text().split("---\n")[1])["certificatesDir"]
        (config.parent / "config.yaml").write_text(f"clientCAFile: {directory}/ca.crt\n")
        return (0, "", "") if not Path(directory).exists() else (1, "", "invalid or incomplete external CA")

    module = fake_module(kubeadm, config=DOCUMENTS, timeout=30)
    module.tmpdir = str(tmp_path)
    settings = NodeSettings(module)
    monkeypatch.setattr(settings, "state", State())
    monkeypatch.setattr(State, "role", "worker")
    assert settings._render(DOCUMENTS) == {KUBELET_CONFIGURATION: "clientCAFile: /etc/kubernetes/pki/ca.crt\n"}
