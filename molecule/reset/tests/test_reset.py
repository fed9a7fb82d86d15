from __future__ import annotations

import os
from pathlib import Path

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki", "/var/lib/etcd/member"),
        *("/var/lib/kubelet/config.yaml", "/etc/cni/net.d/10-flannel.conflist", "/root/.kube/config"),
        *(
            "/etc/containerd",
            "/etc/crictl.yaml",
            "/etc/sysctl.d/99-kubestead.conf",
            "/etc/modules-load.d/kubestead.conf",
        ),
        *("/etc/apt/sources.list.d/kubernetes.sources", "/etc/apt/sources.list.d/docker.sources"),
        *("/etc/apt/keyrings/kubernetes.asc", "/etc/apt/keyrings/docker.asc", "/opt/cni", "/run/containerd"),
        *("/run/flannel", "/run/kubestead.lock", "/var/lib/cni", "/var/lib/kubestead", "/var/log/pods"),
    ],
)
def test_what_was_made_is_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


@pytest.mark.parametrize("path", ["/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd"])
def test_folders_that_are_mounts_are_empty(host: Host, path: str) -> None:
    assert host.file(path).listdir() == []


@pytest.mark.parametrize("package", ["kubeadm", "kubelet", "kubectl", "containerd.io"])
def test_the_packages_and_their_holds_are_gone(host: Host, package: str) -> None:
    assert not host.package(package).is_installed
    assert package not in host.check_output("apt-mark showhold").split()


@pytest.mark.parametrize("name", ["kubelet", "containerd", "etcd", "kube-apiserver"])
def test_nothing_of_it_runs(host: Host, name: str) -> None:
    assert host.process.filter(comm=name) == []


@pytest.mark.parametrize("link", ["cni0", "flannel.1"])
def test_its_network_links_are_gone(host: Host, link: str) -> None:
    assert not host.interface(link).exists


@pytest.mark.parametrize("tool", ["iptables-nft-save", "ip6tables-nft-save"])
def test_no_rule_of_the_packet_filter_speaks_of_kubernetes(host: Host, tool: str) -> None:
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


def test_the_hosts_file_is_as_it_was(host: Host) -> None:
    hosts = host.file("/etc/hosts").content_string
    assert "localhost" in hosts
    assert "192.0.2.9 own.example" in hosts
    assert "Kubestead" not in hosts


def test_ssh_stays_up(host: Host) -> None:
    assert host.service("ssh").is_running


def test_the_controllers_kubeconfig_is_gone() -> None:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    assert not (state / "kubestead/lab/molecule/kubeconfig").exists()
