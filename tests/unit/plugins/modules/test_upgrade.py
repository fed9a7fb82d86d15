"""upgrade_plan, node_ready and kubeadm_upgrade: what they ask, what they run, and when they do nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _node_upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._node_upgrade import NodeUpgrade
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for
from ansible_collections.kubestead.cluster.plugins.modules import node_ready, upgrade_plan

from ..module_utils.test_upgrade import NEW, OLD, node, record, static_pods

KUBEADM = json.dumps({"clientVersion": {"gitVersion": f"v{NEW}"}})


class Api:
    """Answers as kubectl does; what it knows may change with each look."""

    check_mode = False

    def __init__(self, *looks: list[dict[str, Any]], **params: Any) -> None:
        self.looks = list(looks)
        self.params = {"version": NEW, "kubeconfig": "/admin.conf", "timeout": 0, **params}
        self.asked: list[str] = []

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        kind = {"nodes": "Node", "node": "Node", "pods": "Pod", "configmap": "ConfigMap"}[command[2]]
        self.asked.append(kind)
        look = self.looks[0]
        if kind == "Pod" and len(self.looks) > 1:
            self.looks.pop(0)
        if not look:
            return 1, "", "connection refused"
        return 0, json.dumps({"kind": "List", "items": [one for one in look if one["kind"] == kind]}), ""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits, and etcd is well."""
    slept: list[float] = []

    def hurried(*arguments: Any, **options: Any) -> Any:
        return wait_for(*arguments, **options, clock=lambda: sum(slept), sleep=slept.append)

    for module in (upgrade_plan, node_ready, _node_upgrade):
        monkeypatch.setattr(module, "wait_for", hurried)
    monkeypatch.setattr(upgrade_plan.Plan, "_etcd", lambda _self: [])


def everything(*nodes: dict[str, Any], version: str = OLD, recorded: str = OLD) -> list[dict[str, Any]]:
    return [*nodes, *static_pods("cp-1", version), record(recorded)]


def plan(*looks: list[dict[str, Any]], **params: Any) -> dict[str, Any]:
    api = Api(*looks, nodes=["cp-1", "w", "new"], **params)
    return upgrade_plan.Plan(api).perform()  # type: ignore[arg-type]


def test_a_plan_names_what_is_to_be_done_and_what_it_leaves_out() -> None:
    found = plan(everything(node("cp-1"), node("w"), node("other")))
    assert found["todo"] == ["cp-1", "w"]
    assert found["unknown"] == ["new"]
    assert found["others"] == ["other"]
    assert not found["begun"]
    assert not found["changed"]


def test_an_upgraded_cluster_needs_nothing() -> None:
    found = plan(everything(node("cp-1", NEW), node("w", NEW), version=NEW, recorded=NEW))
    assert found["todo"] == []
    assert found["begun"]


def test_a_plan_refuses_a_sick_cluster_at_once() -> None:
    sick = everything(node("cp-1"), node("w", ready="False"))
    with pytest.raises(KubesteadError, match=r"Nothing was changed\. w is not Ready: container runtime is down"):
        plan(sick, everything(node("cp-1"), node("w")), timeout=60)


def test_after_an_interruption_health_is_waited_for() -> None:
    sick = everything(node("cp-1", NEW, ready="False"), node("w"), version=NEW, recorded=NEW)
    whole = everything(node("cp-1", NEW), node("w"), version=NEW, recorded=NEW)
    assert plan(sick, sick, whole, timeout=60)["todo"] == ["w"]
    with pytest.raises(KubesteadError, match="cp-1 is not Ready"):
        plan(sick, timeout=0)


def test_a_cluster_that_kubeadm_did_not_make_is_refused() -> None:
    with pytest.raises(KubesteadError, match="no ConfigMap kubeadm-config"):
        plan([node("cp-1")])


def ready(*looks: list[dict[str, Any]], **params: Any) -> Api:
    api = Api(*looks, name="cp-1", **{"timeout": 30, **params})
    node_ready.Waiting(api).perform()  # type: ignore[arg-type]
    return api


def test_a_node_is_waited_for_through_all_that_is_missing() -> None:
    api = ready(
        [record()],
        [node("cp-1", OLD, ready="False"), *static_pods("cp-1", NEW, sick="etcd")],
        [node("cp-1", NEW), *static_pods("cp-1", NEW)],
    )
    assert api.asked[:6] == ["Node", "Pod"] * 3


def test_a_node_that_does_not_come_is_described() -> None:
    late = [node("cp-1", OLD, ready="False"), *static_pods("cp-1", OLD, sick="etcd")]
    with pytest.raises(KubesteadError) as caught:
        ready(late, timeout=0)
    for words in (
        "it is not Ready: container runtime",
        "etcd-cp-1 is not ready",
        "its kubelet is of 1.36.4",
        "run the same",
    ):
        assert words in caught.value.message


def test_a_node_that_is_gone_is_said_so() -> None:
    with pytest.raises(KubesteadError, match="the cluster has no node cp-1"):
        ready([record()], timeout=0)


def test_check_mode_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "check_mode", True)
    assert ready([]).asked == []


class Machine:
    """A node in a directory, and the commands on it."""

    check_mode = False

    def __init__(self, root: Path, recorded: str, kubelet: str) -> None:
        self.root = root
        self.recorded = recorded
        self.kubelet = kubelet
        self.kubeadm = KUBEADM
        self.exit_code = 0
        self.upgrades: list[list[str]] = []
        self.notes: list[str] = []
        self.marked = False
        self.params: dict[str, Any] = {
            "version": NEW,
            "patches_directory": "/p",
            "ignore_preflight_errors": ["SystemVerification", "Swap"],
            "skip_phases": [],
            "timeout": 5,
        }

    def put(self, path: str, text: str = "x") -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def control_plane(self, version: str) -> None:
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            self.put(f"etc/kubernetes/manifests/{name}.yaml", f"    image: registry.k8s.io/{name}:v{version}\n")
        self.put("etc/kubernetes/admin.conf")

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        match command[:2]:
            case ["kubeadm", "version"]:
                return 0, self.kubeadm, ""
            case ["kubeadm", "upgrade"]:
                self.upgrades.append(command[2:])
                self.marked = self.marker.exists()
                return self.exit_code, "", "error: etcd cluster is not healthy" if self.exit_code else ""
            case ["kubelet", _]:
                return 0, f"Kubernetes v{self.kubelet}\n", ""
            case ["kubectl", "annotate"]:
                self.notes += [word for word in command if word.startswith("kubestead.io/settings=")]
                return 0, "", ""
            case ["kubectl", _]:
                return 0, json.dumps(record(self.recorded)), ""
        return 0, "", ""

    @property
    def marker(self) -> Path:
        return self.root / "var/lib/kubestead/upgrade-in-progress.json"

    def upgrade(self) -> dict[str, Any]:
        return NodeUpgrade(self, str(self.root)).perform()  # type: ignore[arg-type]


Make = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path, member: Callable[[Path], None]) -> Make:
    def make(control_plane: str = "", recorded: str = OLD, kubelet: str = OLD) -> Machine:
        made = Machine(tmp_path, recorded, kubelet)
        (tmp_path / "run").mkdir()
        member(tmp_path)
        if control_plane:
            made.control_plane(control_plane)
        return made

    return make


@pytest.fixture
def member(recorded: Callable[[str], str]) -> Callable[[Path], None]:
    """Makes a member of a cluster of a directory."""

    def make(root: Path) -> None:
        for path, name in (
            ("etc/kubernetes/kubelet.conf", "kubelet.conf"),
            ("var/lib/kubelet/pki/kubelet-client-current.pem", "kubelet_client.pem"),
            ("etc/kubernetes/pki/ca.crt", "cluster_ca.pem"),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(recorded(name), encoding="utf-8")

    return make


def test_the_first_control_plane_applies(machine: Make) -> None:
    node = machine(control_plane=OLD)
    result = node.upgrade()
    assert result["operation"] == "apply"
    assert result["changed"]
    patches, ignored = ["--patches", "/p"], ["--ignore-preflight-errors", "SystemVerification,Swap"]
    assert node.upgrades == [["apply", f"v{NEW}", "--yes", *patches, *ignored]]
    assert node.marked
    assert not node.marker.exists()
    assert node.notes == ['kubestead.io/settings={"KubeletConfiguration":{}}'], "kubeadm's new record has it no more"


def test_a_further_control_plane_follows(machine: Make) -> None:
    node = machine(control_plane=OLD, recorded=NEW)
    assert node.upgrade()["operation"] == "node"
    assert node.upgrades[0][0] == "node"
    assert "--yes" not in node.upgrades[0]


def test_a_worker_follows(machine: Make) -> None:
    node = machine()
    assert node.upgrade()["operation"] == "node"


@pytest.mark.parametrize("control_plane", [NEW, ""], ids=["control plane", "worker"])
def test_a_node_of_the_release_is_left_alone(machine: Make, control_plane: str) -> None:
    node = machine(control_plane=control_plane, recorded=NEW, kubelet=NEW)
    result = node.upgrade()
    assert (result["operation"], result["changed"], node.upgrades) == ("none", False, [])


@pytest.mark.parametrize("control_plane", [NEW, ""], ids=["control plane", "worker"])
def test_what_was_interrupted_is_run_again(machine: Make, control_plane: str) -> None:
    node = machine(control_plane=control_plane, recorded=NEW, kubelet=NEW)
    node.put("var/lib/kubestead/upgrade-in-progress.json", '{"operation": "upgrade"')
    assert node.upgrade()["operation"] == "node"
    assert not node.marker.exists()


def test_a_failure_says_what_kubeadm_said_and_stays_marked(machine: Make) -> None:
    node = machine(control_plane=OLD)
    node.exit_code = 1
    with pytest.raises(KubesteadError, match="etcd cluster is not healthy") as caught:
        node.upgrade()
    assert "run the same again" in caught.value.message
    assert caught.value.details["operation"] == "upgrade apply"
    assert node.marker.exists()


def test_an_old_kubeadm_is_refused_before_anything_is_done(machine: Make) -> None:
    node = machine(control_plane=OLD)
    node.kubeadm = KUBEADM.replace(NEW, OLD)
    with pytest.raises(KubesteadError, match=r"kubeadm on this node is of 1\.36\.4.*Nothing was changed"):
        node.upgrade()
    assert node.upgrades == []
    assert not node.marker.exists()


def test_a_machine_without_a_cluster_is_refused(tmp_path: Path) -> None:
    node = Machine(tmp_path, OLD, OLD)
    (tmp_path / "run").mkdir()
    with pytest.raises(KubesteadError, match=r"no working member of a cluster \(it is absent\)"):
        node.upgrade()


def test_check_mode_tells_what_would_be_done(machine: Make) -> None:
    node = machine(control_plane=OLD)
    node.check_mode = True
    result = node.upgrade()
    assert (result["operation"], result["changed"], node.upgrades) == ("apply", True, [])


def test_of_the_copies_of_etcd_s_data_the_newest_stays(machine: Make) -> None:
    node = machine(control_plane=OLD)
    for number in range(3):
        path = node.put(f"etc/kubernetes/tmp/kubeadm-backup-etcd-2026-11-2{number}/etcd/member").parents[1]
        os.utime(path, (number, number))
    node.upgrade()
    copies = [path.name for path in (node.root / "etc/kubernetes/tmp").iterdir()]
    assert copies == ["kubeadm-backup-etcd-2026-11-22"]
