from __future__ import annotations

import os
from pathlib import Path

import pytest
from testinfra.host import Host

GONE = (
    *("/etc/kubernetes", "/etc/cni/net.d/10-flannel.conflist", "/opt/cni", "/root/.kube/config"),
    *("/etc/containerd", "/etc/crictl.yaml", "/etc/sysctl.d/99-kubestead.conf", "/etc/modules-load.d/kubestead.conf"),
    *("/etc/apt/sources.list.d/kubernetes.sources", "/etc/apt/sources.list.d/docker.sources"),
    *("/etc/apt/keyrings/kubernetes.asc", "/etc/apt/keyrings/docker.asc"),
    *("/etc/haproxy", "/etc/keepalived", "/etc/systemd/system/haproxy.service.d", "/run/haproxy"),
    *("/run/containerd", "/run/flannel", "/run/kubestead.lock"),
    *("/var/lib/cni", "/var/lib/kubestead", "/var/log/pods", "/var/log/containers"),
)
# Mounts of the lab's nodes: they are emptied and kept.
EMPTY = ("/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd")
OWN = ("/etc/cni/net.d/99-own.off", "/etc/apt/sources.list.d/own.sources")
PACKAGES = {"kubeadm", "kubelet", "kubectl", "cri-tools", "kubernetes-cni", "containerd.io", "haproxy", "keepalived"}


def test_what_was_made_is_gone(host: Host) -> None:
    found = host.check_output(f"ls -d {' '.join(GONE)} 2>/dev/null || true")
    assert found.split() == []


def test_folders_that_are_mounts_are_empty(host: Host) -> None:
    assert host.check_output(f"find {' '.join(EMPTY)} -mindepth 1") == ""


def test_the_packages_and_their_holds_are_gone(host: Host) -> None:
    known = host.check_output("dpkg-query --show --showformat='${Package} '").split()
    assert PACKAGES & {*known, *host.check_output("apt-mark showhold").split()} == set()


def test_nothing_of_it_runs(host: Host) -> None:
    running = {process.comm for process in host.process.filter()}
    assert not {name for name in running if name.startswith(("kube", "etcd", "flanneld", "containerd", "coredns"))}


def test_its_network_links_are_gone(host: Host) -> None:
    links = host.check_output("ip -oneline link show")
    assert not [name for name in ("cni0", "flannel.1", "veth") if name in links]


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
    assert host.check_output(f"ls -d {' '.join(OWN)}").split() == sorted(OWN)
    hosts = host.file("/etc/hosts").content_string
    assert "localhost" in hosts
    assert "192.0.2.9 own.example" in hosts
    assert "Kubestead" not in hosts


def test_ssh_stays_up(host: Host) -> None:
    assert host.service("ssh").is_running


def test_the_controllers_kubeconfig_is_gone() -> None:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    assert not (state / "kubestead/lab/molecule/kubeconfig").exists()
