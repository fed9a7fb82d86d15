"""Telling members, interrupted nodes and strangers apart by their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import MARKER_PATH, Marker

Put = Callable[..., None]
MANIFESTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def put(*paths: str, text: str = "x") -> None:
        for path in paths:
            target = tmp_path / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    return put


@pytest.fixture
def worker(put: Put, recorded: Callable[[str], str]) -> None:
    put("/etc/kubernetes/kubelet.conf", text=recorded("kubelet.conf"))
    put("/etc/kubernetes/pki/ca.crt", text=recorded("cluster_ca.pem"))
    put("/var/lib/kubelet/pki/kubelet-client-current.pem", text=recorded("kubelet_client.pem"))


@pytest.fixture
def control_plane(put: Put, worker: None, recorded: Callable[[str], str]) -> None:
    put("/etc/kubernetes/admin.conf")
    put(*(f"/etc/kubernetes/manifests/{name}.yaml" for name in MANIFESTS))
    put("/etc/kubernetes/manifests/kube-apiserver.yaml", text=recorded("kube-apiserver.yaml"))


def test_a_fresh_machine_is_absent(tmp_path: Path) -> None:
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.role, state.traces, state.node_name, state.ca_hash) == ("absent", None, [], None, None)
    assert state.api_healthy() is None


def test_an_own_authority_put_there_before_the_first_run_is_no_trace(tmp_path: Path, put: Put) -> None:
    put("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key")
    assert KubernetesState(str(tmp_path)).stage == "absent"


def test_the_files_of_an_etcd_of_ones_own_are_no_trace(tmp_path: Path, put: Put) -> None:
    put(*(f"/etc/kubernetes/external-etcd/{name}" for name in ("ca.crt", "client.crt", "client.key")))
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.role, state.traces) == ("absent", None, [])


@pytest.mark.usefixtures("control_plane")
def test_an_etcd_of_ones_own_is_known_by_the_api_server_s_manifest(
    tmp_path: Path, put: Put, recorded: Callable[[str], str]
) -> None:
    state = KubernetesState(str(tmp_path))
    assert state.external_etcd == []
    ours = recorded("kube-apiserver.yaml")
    text = ours.replace("https://127.0.0.1:2379", "https://a:2379,https://b:2379").replace(
        "pki/etcd/", "external-etcd/"
    )
    put("/etc/kubernetes/manifests/kube-apiserver.yaml", text=text)
    (tmp_path / "etc/kubernetes/manifests/etcd.yaml").unlink()
    assert state.external_etcd == ["https://a:2379", "https://b:2379"]
    assert state.stage == "member"


@pytest.mark.usefixtures("worker")
def test_a_worker(tmp_path: Path) -> None:
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.role, state.node_name) == ("member", "worker", "control-plane-1")
    assert state.server == "https://172.29.97.11:6443"
    assert (state.ca_hash or "").startswith("sha256:")


@pytest.mark.usefixtures("control_plane")
def test_a_control_plane(tmp_path: Path) -> None:
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.role) == ("member", "control_plane")
    assert state.static_pods == sorted(MANIFESTS)


@pytest.mark.usefixtures("control_plane")
@pytest.mark.parametrize(
    "missing",
    [
        "etc/kubernetes/admin.conf",
        "etc/kubernetes/manifests/kube-scheduler.yaml",
        "var/lib/kubelet/pki/kubelet-client-current.pem",
    ],
)
def test_a_control_plane_that_lacks_a_part_is_partial_and_told_how_to_go_on(tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).unlink()
    state = KubernetesState(str(tmp_path))
    assert state.stage == "partial"
    assert "kubeadm reset --force" in state.recovery()
    assert "/etc/kubernetes/kubelet.conf" in state.recovery()


@pytest.mark.usefixtures("control_plane")
def test_after_a_restore_that_was_broken_off_nobody_is_told_to_reset(tmp_path: Path) -> None:
    stopped = tmp_path / "etc/kubernetes/stopped-manifests"
    (tmp_path / "etc/kubernetes/manifests").rename(stopped)
    state = KubernetesState(str(tmp_path))
    assert state.stage == "partial"
    assert "etcd_restore.yml again" in state.recovery()
    assert "reset" not in state.recovery()


@pytest.mark.parametrize(
    "trace",
    [
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/etc/kubernetes/manifests/etcd.yaml",
        "/var/lib/etcd/member/snap/db",
    ],
)
def test_single_traces_are_partial(tmp_path: Path, put: Put, trace: str) -> None:
    put(trace)
    assert KubernetesState(str(tmp_path)).stage == "partial"


def test_static_pods_of_others_are_no_traces(tmp_path: Path, put: Put) -> None:
    put("/etc/kubernetes/manifests/kube-vip.yaml")
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.role) == ("absent", None)


@pytest.mark.usefixtures("control_plane")
@pytest.mark.parametrize("operation", ["init", "join"])
def test_our_mark_makes_it_interrupted_whatever_else_is_there(tmp_path: Path, operation: str) -> None:
    Marker(str(tmp_path / MARKER_PATH.lstrip("/"))).write(operation)
    state = KubernetesState(str(tmp_path))
    assert (state.stage, state.interrupted) == ("interrupted", operation)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ({}, None),
        ({"10-flannel.conflist": {"plugins": [{"type": "flannel"}, {"type": "portmap"}]}}, "flannel"),
        ({"10-calico.conflist": {"plugins": [{"type": "calico"}, {"type": "portmap"}]}}, "none"),
        ({"87-podman.conflist": {"plugins": [{"type": "bridge"}, {"type": "firewall"}]}}, None),
        ({"05-other.conf": {"type": "cilium-cni"}}, "none"),
        ({"10-broken.conflist": "no JSON"}, None),
    ],
    ids=["nothing-yet", "flannel", "one-of-the-users-own", "an-engine-beside-it", "a-single-plugin", "unreadable"],
)
def test_the_pod_network_is_seen_by_its_plugins(tmp_path: Path, networks: dict[str, Any], expected: str | None) -> None:
    folder = tmp_path / "etc/cni/net.d"
    folder.mkdir(parents=True)
    for name, network in networks.items():
        (folder / name).write_text(json.dumps(network))
    assert KubernetesState(str(tmp_path)).settings.get("cluster_network") == expected


def test_our_calico_is_told_from_another_by_the_note_in_its_configuration(tmp_path: Path) -> None:
    network = tmp_path / "etc/cni/net.d/10-calico.conflist"
    network.parent.mkdir(parents=True)
    network.write_text(json.dumps({"kubestead": {"encapsulation": "ipip"}, "plugins": [{"type": "calico"}]}))
    assert KubernetesState(str(tmp_path)).settings == {
        "cluster_network": "calico",
        "cluster_calico_encapsulation": "ipip",
    }


def test_flannels_backend_is_seen_where_its_pod_was_told(tmp_path: Path) -> None:
    told = tmp_path / "var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/flannel-cfg/net-conf.json"
    told.parent.mkdir(parents=True)
    told.write_text(json.dumps({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}))
    assert KubernetesState(str(tmp_path)).settings == {"cluster_flannel_backend": "vxlan"}
