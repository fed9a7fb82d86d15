from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Kubectl = Callable[[str], Any]
BOOTSTRAP_TOKENS = "get secrets --namespace kube-system --field-selector type=bootstrap.kubernetes.io/token"


@pytest.fixture
def on_control_plane(name: str) -> None:
    if name != "control-plane-1":
        pytest.skip("asked on the control plane")


@pytest.fixture
def on_worker(name: str) -> None:
    if name != "worker-1":
        pytest.skip("seen on the worker")


@pytest.mark.usefixtures("on_control_plane")
def test_both_nodes_are_ready(host: Host, kubectl: Kubectl) -> None:
    host.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf wait node --all --for condition=Ready --timeout 90s"
    )
    assert [node["metadata"]["name"] for node in kubectl("get nodes")["items"]] == ["control-plane-1", "worker-1"]


@pytest.mark.usefixtures("on_control_plane")
def test_the_token_is_revoked(kubectl: Kubectl) -> None:
    assert kubectl(BOOTSTRAP_TOKENS)["items"] == []


@pytest.mark.usefixtures("on_control_plane")
def test_the_certificates_of_the_control_plane_are_not_lent(kubectl: Kubectl) -> None:
    secrets = kubectl("get secrets --namespace kube-system")["items"]
    assert "kubeadm-certs" not in {secret["metadata"]["name"] for secret in secrets}


@pytest.mark.usefixtures("on_worker")
def test_the_kubelet_runs_now_and_at_boot(host: Host) -> None:
    kubelet = host.service("kubelet")
    assert kubelet.is_running, host.run("journalctl --no-pager --lines 40 --unit kubelet").stdout
    assert kubelet.is_enabled


@pytest.mark.usefixtures("on_worker")
def test_a_worker_holds_no_admin_kubeconfig_and_no_private_key_of_the_cluster(host: Host) -> None:
    assert not host.file("/etc/kubernetes/admin.conf").exists
    assert host.check_output("find /etc/kubernetes/pki -name '*.key'") == ""


@pytest.mark.usefixtures("on_worker")
def test_no_marker_and_no_join_configuration_is_left(host: Host) -> None:
    assert (
        host.check_output(
            "find /var/lib /run /tmp -maxdepth 3 -name 'in-progress.json' -o -maxdepth 3 -name '*join*.yaml'"
        )
        == ""
    )
