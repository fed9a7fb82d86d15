"""Whether a cluster may be upgraded, and what each node needs, from objects as the API server has them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Member
from ansible_collections.kubestead.cluster.plugins.module_utils._upgrade import Version

OLD, NEW = "1.36.4", "1.37.1"
TARGET = Version.of(NEW)
EVERYBODY = ["cp-1", "cp-2", "worker-1"]
HIGH_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")


def node(name: str, kubelet: str = OLD, ready: str = "True", **more: Any) -> dict[str, Any]:
    labels = {"node-role.kubernetes.io/control-plane": ""} if name.startswith("cp") else {}
    condition = {"type": "Ready", "status": ready, "message": "container runtime is down"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": more.pop("annotations", {})},
        "spec": more,
        "status": {"conditions": [condition], "nodeInfo": {"kubeletVersion": f"v{kubelet}"}},
    }


def static_pods(name: str, version: str = OLD, sick: str = "") -> list[dict[str, Any]]:
    return [
        {
            "kind": "Pod",
            "metadata": {"name": f"{part}-{name}", "labels": {"component": part, "tier": "control-plane"}},
            "spec": {"nodeName": name, "containers": [{"image": image(part, version)}]},
            "status": {"conditions": [{"type": "Ready", "status": "False" if part == sick else "True"}]},
        }
        for part in HIGH_PODS
    ]


def image(part: str, version: str) -> str:
    return "registry.k8s.io/etcd:3.6.8-0" if part == "etcd" else f"mirror.example:5000/k8s/{part}:v{version}"


def record(version: str = OLD) -> dict[str, Any]:
    text = f"apiServer: {{}}\nkind: ClusterConfiguration\nkubernetesVersion: v{version}\nnetworking: {{}}\n"
    return {
        "metadata": {
            "name": "kubeadm-config",
            "annotations": {"kubestead.io/settings": '{"KubeletConfiguration": {}}'},
        },
        "kind": "ConfigMap",
        "data": {"ClusterConfiguration": text},
    }


def cluster(
    recorded: str = OLD, api: tuple[str, str] = (OLD, OLD), kubelets: tuple[str, str, str] = (OLD, OLD, OLD)
) -> _upgrade.Cluster:
    nodes = [node(name, kubelet) for name, kubelet in zip(EVERYBODY, kubelets, strict=True)]
    pods = [*static_pods("cp-1", api[0]), *static_pods("cp-2", api[1])]
    return _upgrade.read_cluster(nodes, pods, record(recorded))


def test_what_runs_is_read_from_objects() -> None:
    found = cluster(api=(NEW, OLD))
    assert found.recorded == Version(1, 36, 4)
    assert {name: str(version) for name, version in found.api_servers.items()} == {"cp-1": NEW, "cp-2": OLD}
    assert [one.name for one in found.control_planes] == ["cp-1", "cp-2"]
    assert found.sickness() == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("registry.k8s.io/kube-apiserver:v1.36.4", Version(1, 36, 4)),
        ("mirror:5000/kube-apiserver:v1.36.4@sha256:abcd", Version(1, 36, 4)),
        ("mirror:5000/kube-apiserver", None),
        ("registry.k8s.io/kube-apiserver:latest", None),
    ],
)
def test_an_image_s_tag_is_its_version(text: str, version: Version | None) -> None:
    assert _upgrade.image_version(text) == version


def test_a_record_without_a_version_is_none() -> None:
    assert _upgrade.cluster_version({"data": {"ClusterConfiguration": "  kubernetesVersion: v1.36.4"}}) is None
    assert _upgrade.cluster_version({}) is None


def test_what_is_no_version_is_an_error() -> None:
    with pytest.raises(KubesteadError, match=r"'1\.36' is not a version of Kubernetes"):
        Version.of("1.36")


@pytest.mark.parametrize("target", [NEW, "1.36.5", OLD])
def test_the_next_minor_and_a_newer_patch_are_welcome(target: str) -> None:
    assert _upgrade.refusals(Version.of(target), cluster(), EVERYBODY) == []


@pytest.mark.parametrize(
    ("target", "found", "words"),
    [
        ("1.35.8", cluster(), "cp-1's API server is of 1.36.4, and 1.35.8 is older"),
        ("1.36.3", cluster(), "cp-1's API server is of 1.36.4, and 1.36.3 is older"),
        (OLD, cluster(api=(NEW, OLD)), "cp-1's API server is of 1.37.1"),
        (OLD, cluster(kubelets=(OLD, OLD, "1.36.5")), "worker-1's kubelet is of 1.36.5"),
        (OLD, cluster(recorded=NEW), r"kubeadm's record of the cluster .* is of 1.37.1"),
        ("1.38.0", cluster(), 'skips a minor release.* "1.37"'),
        ("1.38.0", cluster(api=(NEW, OLD)), "cp-2's API server is of 1.36.4, and 1.38.0 skips"),
        (NEW, cluster(kubelets=(OLD, OLD, "1.33.9")), "worker-1's kubelet is of 1.33.9, more than 3 minor releases"),
        (NEW, cluster(kubelets=(OLD, OLD, NEW)), r"worker-1's kubelet is of 1.37.1, newer than every API server"),
    ],
)
def test_what_kubernetes_does_not_support_is_refused(target: str, found: _upgrade.Cluster, words: str) -> None:
    reasons = _upgrade.refusals(Version.of(target), found, EVERYBODY)
    assert len(reasons) == 1
    with pytest.raises(KubesteadError, match=f"Nothing was changed.*{words}"):
        raise _upgrade.refuse(Version.of(target), reasons)


def test_old_kubelets_within_the_skew_are_welcome() -> None:
    assert _upgrade.refusals(TARGET, cluster(kubelets=(OLD, OLD, "1.34.0")), EVERYBODY) == []


def test_workers_wait_for_control_planes_that_are_left_out() -> None:
    assert "cp-1, cp-2 would stay older" in _upgrade.refusals(TARGET, cluster(), ["worker-1"])[0]
    assert _upgrade.refusals(TARGET, cluster(NEW, (NEW, NEW), (NEW, NEW, OLD)), ["worker-1"]) == []


def test_several_reasons_are_one_list() -> None:
    assert "\n- one\n- two" in _upgrade.refuse(TARGET, ["one", "two"]).message


def test_every_node_of_an_old_cluster_needs_its_part() -> None:
    assert _upgrade.plan(TARGET, cluster(), [*EVERYBODY, "unknown"]) == {
        "cp-1": part(control_plane=True, steps=["control-plane", "kubelet"]),
        "cp-2": part(control_plane=True, steps=["control-plane", "kubelet"]),
        "worker-1": part(control_plane=False, steps=["kubelet"], control_plane_version=""),
    }
    assert not cluster().begun(TARGET)


def part(**more: Any) -> dict[str, Any]:
    return {"control_plane": True, "kubelet": OLD, "control_plane_version": OLD, "drain": True, **more}


def test_after_an_interruption_the_rest_is_left() -> None:
    found = cluster(NEW, (NEW, OLD), (NEW, OLD, OLD))
    assert found.begun(TARGET)
    plan = _upgrade.plan(TARGET, found, EVERYBODY)
    assert {name: one["steps"] for name, one in plan.items()} == {
        "cp-1": [],
        "cp-2": ["control-plane", "kubelet"],
        "worker-1": ["kubelet"],
    }


def test_static_pods_that_came_before_the_record_are_done_again() -> None:
    found = cluster(OLD, (NEW, OLD))
    assert found.begun(TARGET)
    assert _upgrade.steps(TARGET, found, found.nodes["cp-1"]) == ["control-plane", "kubelet"]


def test_a_node_that_we_left_cordoned_is_let_in_again() -> None:
    mark = {"kubestead.io/cordoned": "true"}
    nodes = [node("cp-1", NEW), node("worker-1", NEW, unschedulable=True, annotations=mark)]
    nodes.append(node("worker-2", NEW, unschedulable=True))
    found = _upgrade.read_cluster(nodes, static_pods("cp-1", NEW), record(NEW))
    plan = _upgrade.plan(TARGET, found, ["cp-1", "worker-1", "worker-2"])
    assert {name: one["steps"] for name, one in plan.items()} == {"cp-1": [], "worker-1": ["uncordon"], "worker-2": []}


def test_a_node_whose_pods_have_nowhere_to_go_keeps_them() -> None:
    alone = _upgrade.read_cluster([node("cp-1")], static_pods("cp-1"), record())
    assert not _upgrade.can_drain(alone, alone.nodes["cp-1"])
    closed = _upgrade.read_cluster([node("cp-1"), node("w", unschedulable=True)], static_pods("cp-1"), record())
    assert not _upgrade.can_drain(closed, closed.nodes["cp-1"])
    assert _upgrade.can_drain(closed, closed.nodes["w"])


def test_sickness_is_named() -> None:
    nodes = [node("cp-1"), node("cp-2", ready="Unknown"), node("worker-1", ready="False")]
    pods = [*static_pods("cp-1", sick="kube-scheduler"), *static_pods("cp-2", sick="etcd")]
    found = _upgrade.read_cluster(nodes, [*pods[:1], *pods[2:]], record(), ["etcd's member cp-2 knows no leader"])
    assert found.sickness() == [
        "cp-2 is not Ready: container runtime is down",
        "worker-1 is not Ready: container runtime is down",
        "kube-controller-manager-cp-1 of cp-1 is not ready",
        "kube-scheduler-cp-1 of cp-1 is not ready",
        "etcd's member cp-2 knows no leader",
    ]


def test_members_of_etcd_are_asked_one_by_one() -> None:
    members = [
        Member("1", "fine", ("192.0.2.1",), False),
        Member("2", "new", ("192.0.2.2",), True),
        Member("3", "", ("192.0.2.3",), False),
        Member("4", "silent", ("192.0.2.4",), False),
        Member("5", "full", ("192.0.2.5",), False),
        Member("6", "alone", ("192.0.2.6",), False),
    ]

    def status(host: str) -> dict[str, Any]:
        if host.endswith("4"):
            raise KubesteadError("refused")
        return {
            "192.0.2.5": {"leader": "7", "errors": ["alarm:NOSPACE"]},
            "192.0.2.6": {"leader": "0"},
        }.get(host, {"leader": "7"})

    assert _upgrade.etcd_sickness(members, status) == [
        "etcd's member new (192.0.2.2) has not become a voting member yet",
        "etcd's member 3 (192.0.2.3) has not become a voting member yet",
        "etcd's member silent does not answer: refused",
        "etcd's member full complains: alarm:NOSPACE",
        "etcd's member alone knows no leader",
    ]
