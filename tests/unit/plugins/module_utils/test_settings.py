"""Settings as manifests and files show them, which of them stay, and what is remembered of what was given."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _settings as settings
from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_settings import given

API_SERVER = """\
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=192.0.2.11
    - --secure-port=6443
    - --service-cluster-ip-range=10.96.0.0/12
    image: registry.example.org:5000/kube-apiserver:v1.36.4
    env:
    - name: HTTPS_PROXY
      value: http://somebody:password@proxy.example.org:3128
"""
CONTROLLER = """\
    - --cluster-cidr=10.244.0.0/16
    - --cluster-name=kubernetes
"""
ETCD = """\
    - --data-dir=/var/lib/etcd
    - --initial-cluster={}
    - --name=control-plane-2
"""
FILES = {
    "/etc/kubernetes/manifests/kube-apiserver.yaml": API_SERVER,
    "/etc/kubernetes/manifests/kube-controller-manager.yaml": CONTROLLER,
    "/etc/kubernetes/manifests/etcd.yaml": ETCD,
    "/etc/kubernetes/admin.conf": "clusters:\n- cluster:\n    server: https://[2001:db8::10]:6443\n",
    "/var/lib/kubelet/config.yaml": "clusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n",
    "/var/lib/kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--node-ip=192.0.2.21,2001:db8::21"\n',
}
DOCUMENTS: list[dict[str, Any]] = [
    {"kind": "InitConfiguration", "localAPIEndpoint": {"advertiseAddress": "192.0.2.11", "bindPort": 6443}},
    {
        "kind": "ClusterConfiguration",
        "kubernetesVersion": "v1.37.1",
        "controlPlaneEndpoint": "192.0.2.10:6443",
        "networking": {"serviceSubnet": "10.96.0.0/12", "dnsDomain": "cluster.local"},
        "apiServer": {"certSANs": ["192.0.2.10", "api.example.org", "2001:DB8:0::1"]},
    },
    {"kind": "KubeletConfiguration", "maxPods": 120},
    {"kind": "KubeProxyConfiguration", "mode": "iptables"},
]


def test_a_control_plane_shows_what_its_cluster_was_built_with() -> None:
    assert settings.built_with(FILES.get) == {
        "cluster_api_port": "6443",
        "cluster_dns_domain": "cluster.local",
        "cluster_endpoint": "[2001:db8::10]:6443",
        "cluster_name": "kubernetes",
        "cluster_node_address": "192.0.2.11",
        "cluster_pod_cidr": "10.244.0.0/16",
        "cluster_service_cidr": "10.96.0.0/12",
    }


def test_a_worker_shows_its_address_and_the_domain() -> None:
    files = {path: text for path, text in FILES.items() if path.startswith("/var/lib/kubelet")}
    assert settings.built_with(files.get) == {
        "cluster_dns_domain": "cluster.local",
        "cluster_node_address": "192.0.2.21",
    }


@pytest.mark.parametrize(
    ("socket", "runtime"),
    [
        ("unix:///run/containerd/containerd.sock", "containerd"),
        ("unix:///run/cri-dockerd.sock", "docker"),
        ("unix:///var/run/crio/crio.sock", None),
    ],
)
def test_a_node_shows_its_runtime(socket: str, runtime: str | None) -> None:
    files = {"/var/lib/kubelet/instance-config.yaml": f"containerRuntimeEndpoint: {socket}\n"}
    assert settings.built_with(files.get).get("cluster_container_runtime") == runtime


@pytest.mark.parametrize(
    ("found", "wanted", "differ"),
    [
        ("10.244.0.0/16", "10.245.0.0/16", True),
        ("10.244.0.0/16,fd00::/56", "10.244.0.0/16, fd00:0::/56", False),
        ("6443", 6443, False),
        ("cluster.local", "example.org", True),
    ],
)
def test_values_are_compared_by_what_they_mean(found: str, wanted: Any, differ: bool) -> None:
    assert bool(settings.differing({"one": found}, {"one": wanted, "two": "x"})) is differ


def test_a_refusal_names_variable_values_and_reason() -> None:
    said = settings.refusal("cluster_pod_cidr", "10.244.0.0/16", "10.245.0.0/16")
    assert said.startswith("cluster_pod_cidr, the pods' address range, is 10.244.0.0/16 in this cluster")
    assert "cannot become 10.245.0.0/16: each node was given its part of it" in said


def test_the_version_that_runs_is_read_and_kept() -> None:
    assert settings.image_version(API_SERVER) == "v1.36.4"
    assert settings.uploaded_version("kind: ClusterConfiguration\nkubernetesVersion: v1.36.4\n") == "v1.36.4"
    (cluster,) = [one for one in settings.with_version(DOCUMENTS, "v1.36.4") if one["kind"] == "ClusterConfiguration"]
    assert cluster["kubernetesVersion"] == "v1.36.4"
    assert DOCUMENTS[1]["kubernetesVersion"] == "v1.37.1"


def test_an_etcd_that_joined_keeps_the_members_that_it_began_with() -> None:
    wanted = ETCD.format("control-plane-2=https://192.0.2.12:2380")
    present = ETCD.format("a=https://192.0.2.11:2380,b=https://192.0.2.12:2380").replace(
        "    - --name", "    - --initial-cluster-state=existing\n    - --name"
    )
    assert settings.keep_initial_cluster(wanted, present) == present
    changed = wanted.replace("/var/lib/etcd", "/var/lib/other")
    assert settings.keep_initial_cluster(changed, present) == present.replace("/var/lib/etcd", "/var/lib/other")


def test_the_certificate_has_the_names_that_kubeadm_gives_it() -> None:
    assert settings.names_of_certificate(DOCUMENTS, "control-plane-1") == {
        *("control-plane-1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
        *("kubernetes.default.svc.cluster.local", "10.96.0.1", "192.0.2.11", "192.0.2.10"),
        *("api.example.org", "2001:db8::1"),
    }


@pytest.mark.parametrize(
    ("given_endpoint", "endpoint"),
    [
        ("api.example.org:8443", "api.example.org:8443"),
        ("api.example.org", "api.example.org:6443"),
        ("[2001:db8::1]:6443", "[2001:db8::1]:6443"),
    ],
)
def test_an_endpoint_without_port_has_the_api_servers(given_endpoint: str, endpoint: str) -> None:
    assert settings.endpoint([DOCUMENTS[0], {**DOCUMENTS[1], "controlPlaneEndpoint": given_endpoint}]) == endpoint


def test_passwords_of_proxies_are_not_shown() -> None:
    shown = settings.without_credentials(API_SERVER)
    assert "password" not in shown
    assert "http://****@proxy.example.org:3128" in shown


def test_neither_version_nor_node_nor_passwords_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:password@proxy.example.org:3128")
    record = given(DOCUMENTS)
    assert set(record) == {"ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration", "proxies"}
    assert "kubernetesVersion" not in record["ClusterConfiguration"]
    assert "password" not in settings.canonical(record)
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:other@proxy.example.org:3128")
    assert given(DOCUMENTS)["proxies"] != record["proxies"]
