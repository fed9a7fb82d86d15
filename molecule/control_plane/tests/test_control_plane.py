from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from testinfra.host import Host

Kubectl = Callable[[str], Any]
BOOTSTRAP_TOKENS = "get secrets --namespace kube-system --field-selector type=bootstrap.kubernetes.io/token"


def test_the_api_is_ready(host: Host) -> None:
    assert host.check_output("kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz") == "ok"


def test_the_node_is_a_control_plane_under_its_inventory_name(kubectl: Kubectl, release: dict[str, Any]) -> None:
    (node,) = kubectl("get nodes")["items"]
    assert node["metadata"]["name"] == "control-plane-1"
    assert "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v" + release["kubernetes"]
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].endswith(release["packages"]["containerd.io"])


def test_it_takes_no_ordinary_pods_since_there_is_a_worker(kubectl: Kubectl) -> None:
    (node,) = kubectl("get nodes")["items"]
    assert "node-role.kubernetes.io/control-plane" in {taint["key"] for taint in node["spec"]["taints"]}


def test_kubeadms_configuration_is_ours(kubectl: Kubectl) -> None:
    stored = kubectl("get configmap kubeadm-config --namespace kube-system")["data"]["ClusterConfiguration"]
    configuration = yaml.safe_load(stored)
    assert configuration["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert configuration["clusterName"] == "molecule"
    assert configuration["networking"]["podSubnet"] == "10.244.0.0/16"


def test_no_token_outlives_the_run(kubectl: Kubectl) -> None:
    assert kubectl(BOOTSTRAP_TOKENS)["items"] == []


@pytest.mark.parametrize("path", ["/etc/kubernetes/admin.conf", "/root/.kube/config"])
def test_only_its_owner_may_read_a_kubeconfig(host: Host, path: str) -> None:
    assert host.file(path).mode == 0o600


def test_the_controller_has_a_kubeconfig_that_points_at_the_virtual_address() -> None:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    path = state / "kubestead/lab/molecule/kubeconfig"
    assert path.stat().st_mode & 0o777 == 0o600
    (cluster,) = yaml.safe_load(path.read_text(encoding="utf-8"))["clusters"]
    assert cluster["cluster"]["server"] == "https://172.29.94.10:8443"


def test_the_certificate_names_the_node_and_the_virtual_address(host: Host, addresses: dict[str, str]) -> None:
    names = host.check_output("kubeadm certs check-expiration >/dev/null && cat /etc/kubernetes/pki/apiserver.crt")
    extension = x509.load_pem_x509_certificate(names.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "control-plane-1" in extension.value.get_values_for_type(x509.DNSName)
    named = set(map(str, extension.value.get_values_for_type(x509.IPAddress)))
    assert {addresses["control-plane-1"], "172.29.94.10"} <= named


def test_no_marker_of_an_unfinished_init_is_left(host: Host) -> None:
    assert not host.file("/var/lib/kubestead/in-progress.json").exists


def test_secrets_are_encrypted_and_their_key_is_roots_alone(host: Host) -> None:
    running = host.check_output("ps -C kube-apiserver -o args=")
    assert "--encryption-provider-config=/etc/kubernetes/encryption/configuration.yaml" in running
    assert host.file("/etc/kubernetes/encryption/configuration.yaml").mode == 0o600
    assert host.file("/etc/kubernetes/encryption").mode == 0o700


@pytest.mark.parametrize(("path", "status"), [("readyz", "200"), ("version", "401")])
def test_strangers_are_told_of_health_alone(host: Host, path: str, status: str) -> None:
    command = f"curl --silent --insecure --output /dev/null --write-out '%{{http_code}}' https://127.0.0.1:6443/{path}"
    assert host.check_output(command) == status


def test_the_audit_log_is_written(host: Host) -> None:
    assert host.file("/var/log/kubernetes/audit.log").size > 0
