from __future__ import annotations

import pytest
import yaml
from testinfra.host import Host


def test_the_machine_has_its_name(host: Host, name: str) -> None:
    assert host.check_output("hostname") == name
    assert host.file("/etc/hostname").content_string.strip() == name


def test_every_node_knows_itself_and_the_control_planes_by_name(
    host: Host, name: str, addresses: dict[str, str]
) -> None:
    for known in {name, "control-plane-1"}:
        assert host.check_output(f"getent ahostsv4 {known}").split()[0] == addresses[known]


def test_a_further_worker_does_not_change_the_others_hosts_files(host: Host, name: str) -> None:
    assert ("worker-1" in host.file("/etc/hosts").content_string) == (name == "worker-1")


def test_the_hosts_file_keeps_what_was_there(host: Host) -> None:
    hosts = host.file("/etc/hosts").content_string
    assert "localhost" in hosts
    assert hosts.count("BEGIN molecule (Kubestead)") == 1


@pytest.mark.parametrize("setting", ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"])
def test_kernel_settings_apply_now_and_at_boot(host: Host, setting: str) -> None:
    assert host.sysctl(setting) == 1
    assert f"{setting} = 1" in host.file("/etc/sysctl.d/99-kubestead.conf").content_string


def test_kernel_modules_are_named_for_boot(host: Host) -> None:
    assert host.file("/etc/modules-load.d/kubestead.conf").content_string.split() == ["br_netfilter", "overlay"]


def test_no_swap_is_mounted_at_boot(host: Host) -> None:
    fstab = host.file("/etc/fstab")
    lines = fstab.content_string.splitlines() if fstab.exists else []
    assert not [line for line in lines if " swap " in line and not line.startswith("#")]


def test_the_kubelets_patch_is_a_kubelet_configuration(host: Host) -> None:
    patch = yaml.safe_load(host.file("/etc/kubernetes/patches/kubeletconfiguration+merge.yaml").content_string)
    assert (patch["apiVersion"], patch["kind"]) == ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")


def test_ssh_stays_up(host: Host) -> None:
    assert host.service("ssh").is_running
