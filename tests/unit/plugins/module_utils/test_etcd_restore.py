"""A member made from a snapshot: what is refused, in which order things happen, and what a restore that was broken off leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd_restore
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_restore import (
    Etcdutl,
    Restore,
    plan_of,
    wait_for_nodes,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import authority_hashes, read
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._secrets_encryption import Key, render
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pod_manifests import StaticPodManifests
from ansible_collections.kubestead.cluster.plugins.modules import etcd_restore

from .test_etcd_snapshot import AUTHORITY, RECORDED, blobs

PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
TOKEN = "prod-2026-11-21T12-30-00Z"
BUMP = 1795265325016


class Machine:
    """A control plane in a directory. Its kubelet runs what the manifests say; what happened is remembered in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "manifests"
        self.stopped = root / "stopped"
        self.data = root / "etcd"
        self.image = root / "image"
        self.happened: list[str] = []
        self.check_mode = False
        self.kubelet_works = True
        self.restore_works = True
        self.params: dict[str, Any] = {"timeout": 1}
        self.manifests.mkdir()
        for name in PODS:
            text = (RECORDED / "etcd.yaml").read_text() if name == "etcd" else f"name: {name}\n"
            text = text.replace("--data-dir=/var/lib/etcd", f"--data-dir={self.data}")
            (self.manifests / f"{name}.yaml").write_text(text)
        (self.data / "member").mkdir(parents=True)
        (self.data / "member/old").touch()

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def running(self) -> list[str]:
        folders = (self.manifests,) if self.kubelet_works else (self.manifests, self.stopped)
        return sorted(path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.yaml"))

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        tool, *words = command
        if tool == "crictl" and words[0] == "ps":
            return 0, json.dumps({"containers": [self.container(name) for name in self.running()]}), ""
        if tool == "crictl":
            self.kubelet_works = True
        if tool == "ctr" and "mount" in words:
            program = Path(words[-1]) / "usr/local/bin/etcdutl"
            program.parent.mkdir(parents=True)
            program.touch()
        if tool == "ctr" and "unmount" in words and (Path(words[-1]) / "usr").exists():
            _etcd_restore.shutil.rmtree(Path(words[-1]) / "usr")
        if tool.endswith("etcdutl"):
            if not self.restore_works:
                return 1, "", "Error: snapshot file integrity check failed"
            member = Path(words[words.index("--data-dir") + 1]) / "member"
            member.mkdir(parents=True)
            (member / "new").touch()
        self.happened.append(" ".join([Path(tool).name, *words]))
        return 0, "", ""

    @staticmethod
    def container(name: str) -> dict[str, Any]:
        labels = {"io.kubernetes.container.name": name, "io.kubernetes.pod.namespace": "kube-system"}
        return {"id": f"c-{name}", "podSandboxId": f"s-{name}", "labels": labels}

    def contents(self) -> dict[str, list[str]]:
        return {
            str(path.relative_to(self.data)): sorted(one.name for one in path.iterdir())
            for path in sorted(self.data.rglob("member"))
        }


class Answering(Etcd):
    """etcd as it is after a while: each question takes the next answer, the last one stays."""

    def __init__(self, machine: Machine, *answers: Mapping[str, Any] | str) -> None:
        super().__init__(["localhost"])
        self.machine = machine
        self.answers = list(answers) or [{"leader": "7"}]

    def status(self) -> dict[str, Any]:
        self.machine.happened.append(f"etcd asked, with {' '.join(self.machine.running())}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise KubesteadError(answer)
        return dict(answer)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    authority = tmp_path / "ca.crt"
    authority.write_bytes((RECORDED / "cluster_ca.pem").read_bytes())
    monkeypatch.setattr(_etcd_restore, "AUTHORITY", str(authority))
    monkeypatch.setattr(KubernetesState, "api_healthy", lambda _self: True)
    of_image = Etcdutl.of_image
    monkeypatch.setattr(Etcdutl, "of_image", lambda module, image: of_image(module, image, str(tmp_path / "image")))
    (tmp_path / "etcd.db").write_bytes(b"".join(blobs()))
    return made


@pytest.fixture
def restore(machine: Machine) -> Callable[..., Restore]:
    def make(*answers: Any) -> Restore:
        module: Any = machine
        pods = StaticPodManifests(module, str(machine.manifests), str(machine.stopped))
        return Restore(module, pods, Answering(machine, *answers), KubernetesState(str(machine.root)))

    return make


def prepare(one: Restore, machine: Machine) -> dict[str, Any]:
    snapshot = str(machine.root / "etcd.db")
    members = ["a=https://192.0.2.1:2380", "b=https://192.0.2.2:2380"]
    return one.prepare(snapshot, read(snapshot).sha256, members, TOKEN, BUMP)


def test_a_manifest_tells_of_the_member() -> None:
    plan = plan_of((RECORDED / "etcd.yaml").read_text())
    assert plan == ("worker-2", "https://172.29.97.22:2380", "/var/lib/etcd", plan.image)
    assert plan.image.startswith("registry.k8s.io/etcd:3.")


def test_a_snapshot_of_this_cluster_is_accepted(restore: Callable[..., Restore], machine: Machine) -> None:
    assert restore().check([AUTHORITY], 1000) == {
        "changed": False,
        "name": "worker-2",
        "peer_url": "https://172.29.97.22:2380",
        "data_directory": str(machine.data),
    }
    assert machine.happened == []


def test_after_a_change_of_the_authority_one_that_both_know_is_enough(restore: Callable[..., Restore]) -> None:
    assert restore().check(["0" * 64, AUTHORITY], 1000)["name"] == "worker-2"


@pytest.mark.parametrize(
    ("authorities", "size", "said"),
    [
        (["0" * 64], 1000, "is of another cluster"),
        ([], 1000, "does not tell which cluster"),
        ([AUTHORITY], 1 << 60, "too little room"),
    ],
)
def test_what_cannot_be_restored_is_refused(
    restore: Callable[..., Restore], machine: Machine, authorities: list[str], size: int, said: str
) -> None:
    with pytest.raises(KubesteadError, match=said) as refused:
        restore().check(authorities, size)
    assert refused.value.message.startswith("Nothing was changed.")
    assert machine.happened == []


@pytest.mark.parametrize(
    ("present", "keys", "said"),
    [
        (["key2"], ["key1"], "encrypted with key1, and .*encryption.yaml has key2"),
        (["key2"], ["key1", "key2"], "encrypted with key1, and"),
        (None, ["key1"], "the API server of this node is given none"),
        (["key2", "key1"], ["key1"], ""),
        (["key1"], [], ""),
        (None, [], ""),
    ],
)
def test_secrets_that_nobody_could_read_are_not_brought_back(
    restore: Callable[..., Restore], machine: Machine, present: list[str] | None, keys: list[str], said: str
) -> None:
    if present is not None:
        path = machine.root / "encryption.yaml"
        path.write_text(render(Key(name, "A" * 43 + "=") for name in present))
        (machine.manifests / "kube-apiserver.yaml").write_text(f"    - --encryption-provider-config={path}\n")
    if not said:
        assert restore().check([AUTHORITY], 1000, keys)["changed"] is False
        return
    with pytest.raises(KubesteadError, match=said) as refused:
        restore().check([AUTHORITY], 1000, keys)
    assert refused.value.message.startswith("Nothing was changed.")
    assert "as the last under `keys`" in refused.value.message


def test_a_machine_that_was_not_built_is_refused(restore: Callable[..., Restore], machine: Machine) -> None:
    (machine.manifests / "etcd.yaml").unlink()
    with pytest.raises(KubesteadError, match=r"build this one with `kubestead apply` \(site\.yml\) first"):
        restore().check([AUTHORITY], 1000)


def test_an_etcd_of_ones_own_is_refused(restore: Callable[..., Restore], machine: Machine) -> None:
    folder = machine.root / "etc/kubernetes/manifests"
    folder.mkdir(parents=True)
    (folder / "kube-apiserver.yaml").write_text("- --etcd-servers=https://192.0.2.7:2379\n")
    with pytest.raises(KubesteadError, match="etcd of your own"):
        restore().check([AUTHORITY], 1000)


def test_the_new_data_is_laid_beside_the_old(restore: Callable[..., Restore], machine: Machine) -> None:
    assert prepare(restore(), machine) == {"changed": True}
    (command,) = [line for line in machine.happened if line.startswith("etcdutl")]
    for words in (
        "--name worker-2",
        "--initial-cluster a=https://192.0.2.1:2380,b=https://192.0.2.2:2380",
        f"--initial-cluster-token {TOKEN}",
        "--initial-advertise-peer-urls https://172.29.97.22:2380",
        f"--bump-revision {BUMP} --mark-compacted",
    ):
        assert words in command
    assert machine.contents() == {"member": ["old"], ".restoring/member": ["new"]}
    assert machine.running() == sorted(PODS)
    assert "unmount" in machine.happened[-1]


def test_a_failure_beside_leaves_the_old_alone(restore: Callable[..., Restore], machine: Machine) -> None:
    machine.restore_works = False
    with pytest.raises(KubesteadError, match=r"integrity check failed\nNothing was changed"):
        prepare(restore(), machine)
    assert machine.contents() == {"member": ["old"]}
    assert "unmount" in machine.happened[-1]
    with pytest.raises(KubesteadError, match="its hash is another"):
        restore().prepare(str(machine.root / "etcd.db"), "0" * 64, [], TOKEN, BUMP)


def test_the_old_data_is_kept_when_it_is_replaced(restore: Callable[..., Restore], machine: Machine) -> None:
    one = restore()
    prepare(one, machine)
    kept = one.replace()["kept"]
    assert machine.running() == []
    assert machine.contents() == {"member": ["new"], f"{Path(kept).name}/member": ["old"]}


def test_nothing_is_stopped_where_nothing_was_laid_ready(restore: Callable[..., Restore], machine: Machine) -> None:
    with pytest.raises(KubesteadError, match="Nothing was changed"):
        restore().replace()
    assert machine.running() == sorted(PODS)


def test_pods_that_the_kubelet_does_not_end_are_stopped(restore: Callable[..., Restore], machine: Machine) -> None:
    one = restore()
    prepare(one, machine)
    machine.kubelet_works = False
    one.replace()
    assert "crictl stopp s-etcd s-kube-apiserver s-kube-controller-manager s-kube-scheduler" in machine.happened


def test_etcd_comes_first_and_with_a_kubelet_that_waits_for_nothing(
    restore: Callable[..., Restore], machine: Machine
) -> None:
    one = restore("connection refused", {"leader": "0"}, {"leader": "7"})
    one.timeout = 10
    prepare(one, machine)
    one.replace()
    machine.happened.clear()
    one.start()
    assert machine.happened == ["systemctl restart kubelet", *["etcd asked, with etcd"] * 3]
    assert machine.running() == sorted(PODS)
    assert not machine.stopped.exists()
    assert sorted(path.name[:14] for path in machine.data.iterdir()) == ["before-restore", "member"]


def test_an_etcd_without_a_majority_is_told_and_the_rest_stays_stopped(
    restore: Callable[..., Restore], machine: Machine
) -> None:
    one = restore({"leader": "0"})
    prepare(one, machine)
    one.replace()
    with pytest.raises(KubesteadError, match=r"no leader.*Remove the cause and run the same again"):
        one.start()
    assert machine.running() == ["etcd"]


def test_a_restore_that_was_broken_off_keeps_the_data_from_before_it(
    restore: Callable[..., Restore], machine: Machine
) -> None:
    one = restore()
    prepare(one, machine)
    one.replace()
    (machine.data / "member/half").touch()
    again = restore()
    prepare(again, machine)
    again.replace()
    kept = again.start()["kept"]
    assert machine.contents() == {"member": ["new"], f"{Path(kept).name}/member": ["old"]}


def test_of_data_that_was_replaced_the_newest_stays(restore: Callable[..., Restore], machine: Machine) -> None:
    (machine.data / "before-restore-2026-01-01T00-00-00Z/member").mkdir(parents=True)
    one = restore()
    prepare(one, machine)
    one.replace()
    kept = Path(one.start()["kept"])
    assert sorted(machine.data.glob("before-restore-*")) == [kept]
    assert (kept / "member/old").exists()


def test_a_member_whose_data_is_lost_has_nothing_to_keep(restore: Callable[..., Restore], machine: Machine) -> None:
    _etcd_restore.shutil.rmtree(machine.data)
    one = restore()
    prepare(one, machine)
    assert one.replace()["kept"] is None
    assert one.start()["kept"] is None
    assert machine.contents() == {"member": ["new"]}


def test_check_mode_only_looks(restore: Callable[..., Restore], machine: Machine) -> None:
    module: Any = machine
    machine.check_mode = True
    for step in ("prepare", "replace", "start"):
        machine.params["step"] = step
        assert etcd_restore.perform(module, restore()) == {"changed": True}
    assert machine.happened == []
    assert machine.contents() == {"member": ["old"]}


class Cluster:
    """The API server after a restore: a node that was Ready in the snapshot, and reports again after a while, or never."""

    def __init__(self, reports_after: int) -> None:
        self.reports_after = reports_after
        self.looks = 0

    def get(self, kind: str, *_arguments: str) -> list[dict[str, Any]]:
        if kind == "nodes":
            ready = {"type": "Ready", "status": "True"}
            return [{"metadata": {"name": "worker-1"}, "status": {"conditions": [ready]}}]
        self.looks += 1
        if self.looks == 1:
            raise KubesteadError("connection refused")
        moment = "new" if self.looks > self.reports_after else "old"
        return [{"metadata": {"name": "worker-1"}, "spec": {"renewTime": moment}}]


def test_a_node_counts_once_its_kubelet_reports_again() -> None:
    cluster = Cluster(3)
    assert wait_for_nodes(cluster, ["worker-1"], 5, 0.01) == ["worker-1"]
    assert cluster.looks > 3


def test_a_node_that_only_was_ready_does_not_count() -> None:
    with pytest.raises(KubesteadError, match="worker-1 is not ready"):
        wait_for_nodes(Cluster(10**6), ["worker-1"], 0.05, 0.01)


def test_the_hash_of_an_authority_is_that_of_openssl() -> None:
    assert authority_hashes((RECORDED / "cluster_ca.pem").read_bytes()) == (AUTHORITY,)


def test_docker_gives_the_program_out_of_its_image(machine: Machine, tmp_path: Path) -> None:
    module: Any = machine
    folder = tmp_path / "image"
    with Etcdutl.of_docker_image(module, "registry.k8s.io/etcd:3.6.8-0", str(folder)) as etcdutl:
        assert etcdutl.path == str(folder / "etcdutl")
    assert machine.happened[0] == "docker create registry.k8s.io/etcd:3.6.8-0"
    assert machine.happened[1].startswith("docker cp ")
    assert machine.happened[2].startswith("docker rm")
    assert not folder.exists()
