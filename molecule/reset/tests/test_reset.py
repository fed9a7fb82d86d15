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
        *("/etc/containerd/config.toml", "/etc/sysctl.d/99-kubestead.conf", "/var/lib/kubestead/in-progress.json"),
    ],
)
def test_what_was_made_is_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


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


def test_no_rule_of_the_packet_filter_speaks_of_kubernetes(host: Host) -> None:
    assert "KUBE-" not in host.check_output("iptables-save")
    assert "FLANNEL" not in host.check_output("iptables-save")


def test_the_hosts_file_is_as_it_was(host: Host) -> None:
    hosts = host.file("/etc/hosts").content_string
    assert "localhost" in hosts
    assert "Kubestead" not in hosts


def test_ssh_stays_up(host: Host) -> None:
    assert host.service("ssh").is_running


def test_the_controllers_kubeconfig_is_gone() -> None:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    assert not (state / "kubestead/lab/molecule/kubeconfig").exists()
