from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(
    "path",
    [
        "/etc/kubernetes",
        "/etc/cni/net.d/10-flannel.conflist",
        "/etc/containerd",
        "/etc/crictl.yaml",
        "/etc/sysctl.d/99-kubestead.conf",
        "/etc/modules-load.d/kubestead.conf",
        "/etc/apt/sources.list.d/kubernetes.sources",
        "/etc/apt/sources.list.d/docker.sources",
        "/etc/apt/keyrings/kubernetes.asc",
        "/etc/apt/keyrings/docker.asc",
        "/opt/cni",
        "/root/.kube/config",
        "/run/containerd",
        "/run/flannel",
        "/run/kubestead.lock",
        "/var/lib/cni",
        "/var/lib/kubestead",
        "/var/log/pods",
    ],
)
def test_nothing_of_the_cluster_stays(host: Host, path: str) -> None:
    assert not host.file(path).exists


@pytest.mark.parametrize("path", ["/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd"])
def test_folders_that_are_mounts_are_empty(host: Host, path: str) -> None:
    assert host.file(path).listdir() == []


@pytest.mark.parametrize("package", ["kubeadm", "kubelet", "kubectl", "cri-tools", "kubernetes-cni", "containerd.io"])
def test_packages_are_gone_with_their_holds(host: Host, package: str) -> None:
    assert not host.package(package).is_installed
    assert package not in host.check_output("apt-mark showhold").split()


def test_no_process_of_the_cluster_runs(host: Host) -> None:
    running = {process.comm for process in host.process.filter()}
    assert not {name for name in running if name.startswith(("kube", "etcd", "flanneld", "containerd", "coredns"))}


def test_no_link_of_the_pods_is_left(host: Host) -> None:
    links = host.check_output("ip -oneline link show")
    assert not [name for name in ("cni0", "flannel.1", "veth") if name in links]


@pytest.mark.parametrize("tool", ["iptables-nft-save", "ip6tables-nft-save"])
def test_no_rule_of_the_cluster_is_left(host: Host, tool: str) -> None:
    saved = host.check_output(tool)
    assert not [word for word in ("KUBE-", "FLANNEL", "flanneld", "CNI-") if word in saved]


def test_own_rules_are_as_before(host: Host) -> None:
    saved = host.check_output("iptables-save")
    assert "-A OWN -s 192.0.2.0/24 -j DROP" in saved
    assert "-A INPUT -p tcp -m tcp --dport 9999 -m comment --comment mine -j OWN" in saved
    assert "-A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE" in saved
    assert "tcp dport 1234 accept" in host.check_output("nft list table inet own")


def test_own_files_are_as_before(host: Host) -> None:
    assert host.file("/etc/cni/net.d/99-own.off").exists
    assert host.file("/etc/apt/sources.list.d/own.sources").exists
    hosts = host.file("/etc/hosts").content_string
    assert "192.0.2.9 own.example" in hosts
    assert "Kubestead" not in hosts


def test_ssh_stays_up(host: Host) -> None:
    assert host.service("ssh").is_running
