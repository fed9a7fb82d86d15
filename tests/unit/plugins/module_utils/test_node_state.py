"""What is read off a machine, from files and outputs of real ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _node_state as node_state
from ansible_collections.kubestead.cluster.plugins.module_utils._node_state import NodeState

Recorded = Callable[[str], str]


class Machine:
    """A root directory with the given files, and programs that print what is given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs: dict[str, str] = {}

    def file(self, path: str, content: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")

    def look(self) -> NodeState:
        return NodeState(lambda *command: self.programs.get(" ".join(command)), str(self.root))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_empty_machine_is_no_error_and_serialises(machine: Machine) -> None:
    facts = machine.look().gather()
    json.dumps(facts)
    assert facts["os"]["family"] == "other"
    assert facts["machine_id"] is None
    assert facts["interfaces"] == []
    assert facts["kubernetes"]["stage"] == "absent"
    assert facts["packages"]["kubeadm"] is None
    assert facts["firewall"] == {"firewalld": "absent", "ufw": "absent"}


def test_this_very_machine_can_be_looked_at() -> None:
    facts = NodeState(lambda *_command: None).gather()
    json.dumps(facts)
    assert facts["memory_mb"] > 100
    assert facts["os"]["kernel"] == os.uname().release
    assert facts["disks"]["/"]["size_mb"] > 0
    assert facts["time"]["synchronized"] in (True, False, None)


def test_interfaces_and_default_address_of_a_lab_node(machine: Machine, recorded: Recorded) -> None:
    machine.programs["ip -j address show"] = recorded("ip_address.json")
    machine.programs["ip -j -4 route show default"] = (
        '[{"dst":"default","gateway":"172.29.97.1","dev":"eth0","flags":[]}]'
    )
    look = machine.look()
    interfaces = look.interfaces()
    assert interfaces == [{"name": "eth0", "mac": "02:42:ac:1d:61:0b", "addresses": ["172.29.97.11/24"]}]
    assert node_state.default_address(look.default_interface(), interfaces) == "172.29.97.11"


def test_of_several_default_routes_the_one_with_the_least_metric_counts(machine: Machine) -> None:
    machine.programs["ip -j -4 route show default"] = json.dumps(
        [{"dev": "wlan0", "metric": 600}, {"dev": "eth0", "metric": 100}]
    )
    assert machine.look().default_interface()["dev"] == "eth0"


@pytest.mark.parametrize("name", ["lo", "cni0", "flannel.1", "veth12ab", "cali0123", "docker0", "br-0123456789ab"])
def test_interfaces_of_containers_and_pod_networks_are_left_out(name: str) -> None:
    text = json.dumps(
        [{"ifname": name, "address": "x", "addr_info": []}, {"ifname": "ens3", "address": "y", "addr_info": []}]
    )
    assert [interface["name"] for interface in node_state.parse_interfaces(text)] == ["ens3"]


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ("ID=raspbian\nID_LIKE=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "redhat"),
        ("ID=fedora\n", "redhat"),
        ("ID=alpine\n", "other"),
    ],
)
def test_families_of_operating_systems(machine: Machine, text: str, family: str) -> None:
    machine.file("/etc/os-release", f"# comment\n{text}")
    assert machine.look().operating_system()["family"] == family


@pytest.mark.parametrize(
    ("files", "command_line"),
    [
        (["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"], "/boot/firmware/cmdline.txt"),
        (["/boot/cmdline.txt"], "/boot/cmdline.txt"),
        ([], ""),
    ],
    ids=["Raspberry Pi OS 12 and newer, Ubuntu", "Raspberry Pi OS 11", "neither"],
)
def test_a_raspberry_pi(machine: Machine, files: list[str], command_line: str) -> None:
    machine.file("/sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    for path in files:
        machine.file(path, "console=tty1 rootwait\n")
    assert machine.look().raspberry_pi() == {"model": "Raspberry Pi 4 Model B Rev 1.4", "command_line": command_line}


def test_another_board_is_no_raspberry_pi(machine: Machine) -> None:
    assert machine.look().raspberry_pi() is None
    machine.file("/sys/firmware/devicetree/base/model", "Hardkernel ODROID-C2\0")
    assert machine.look().raspberry_pi() is None


def test_hypriotos_is_told_from_the_debian_under_it(machine: Machine) -> None:
    debian = 'ID=debian\nVERSION_ID="8"\nPRETTY_NAME="Debian GNU/Linux 8 (jessie)"\n'
    machine.file("/etc/os-release", debian)
    assert machine.look().operating_system()["hypriot"] == ""
    machine.file("/etc/os-release", debian + 'HYPRIOT_OS="HypriotOS/arm64"\nHYPRIOT_TAG="dirty"\n')
    assert machine.look().operating_system()["hypriot"] == "HypriotOS/arm64"


def test_packages_and_holds_from_dpkg_s_own_file(machine: Machine, recorded: Recorded) -> None:
    status = recorded("dpkg_status") + "\nPackage: socat\nStatus: deinstall ok config-files\nVersion: 1.7.4\n"
    machine.file("/var/lib/dpkg/status", status)
    found = machine.look().packages()
    assert found["packages"]["kubeadm"] == "1.36.4-1.1"
    assert found["packages"]["iptables"] == "1.8.9-2"
    assert found["packages"]["socat"] is None
    assert found["held"] == ["kubeadm", "kubelet"]


def test_packages_and_locks_of_an_rpm_machine(machine: Machine) -> None:
    machine.programs["rpm -qa --queryformat %{NAME}\t%{VERSION}-%{RELEASE}\n"] = (
        "kubeadm\t1.36.4-150500.1.1\nbash\t5.1-1\n"
    )
    machine.file(
        "/etc/dnf/plugins/versionlock.list",
        "# x\nkubeadm-0:1.36.4-150500.1.1.*\n0:kubelet-1.36.4-150500.1.1.*\n!runc-1.0\n",
    )
    found = machine.look().packages()
    assert found["packages"]["kubeadm"] == "1.36.4-150500.1.1"
    assert found["held"] == ["kubeadm", "kubelet"]


def test_units(recorded: Recorded) -> None:
    units = node_state.parse_units(recorded("systemctl_show.txt"))
    assert [node_state.unit_state(units[name]) for name in ("containerd", "firewalld")] == ["active", "absent"]
    assert units["kubelet"]["UnitFileState"] == "disabled"
    assert node_state.unit_state({"LoadState": "loaded", "ActiveState": "failed"}) == "inactive"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UUID=1 / ext4 defaults 0 1\n", False),
        ("/swapfile none swap sw 0 0\n", True),
        ("#/swapfile none swap sw 0 0\n", False),
        ("/dev/sda2\tnone\tswap\tsw,noauto\t0 0\n", False),
        ("UUID=2 none swap # short\n", True),
        ("", False),
    ],
)
def test_swap_in_fstab(text: str, expected: bool) -> None:
    assert node_state.fstab_has_swap(text) is expected


def test_swap_in_use(machine: Machine) -> None:
    machine.file(
        "/proc/swaps", "Filename\t\t\tType\t\tSize\n/dev/dm-1   partition 8388604 0 -2\n/swapfile file 1 0 -3\n"
    )
    assert machine.look().swap() == {"active": ["/dev/dm-1", "/swapfile"], "fstab": False, "rpi_swap": False}
    machine.file("/usr/lib/systemd/system-generators/rpi-swap-generator", "")
    assert machine.look().swap()["rpi_swap"] is True


@pytest.mark.parametrize(
    ("conf", "behind", "servers", "loopback", "upstream"),
    [
        ("nameserver 10.0.0.2\nnameserver fd00::1\n", None, ["10.0.0.2", "fd00::1"], False, False),
        ("# x\nnameserver 127.0.0.53\noptions edns0\n", "nameserver 192.168.1.1\n", ["127.0.0.53"], True, True),
        ("nameserver 127.0.0.11\n", None, ["127.0.0.11"], True, False),
        ("nameserver ::1\n", "# none\n", ["::1"], True, False),
        ("nameserver fe80::1%eth0\n", None, ["fe80::1%eth0"], False, False),
        ("search example.org\n", None, [], False, False),
    ],
)
def test_resolvers(
    machine: Machine, conf: str, behind: str | None, servers: list[str], loopback: bool, upstream: bool
) -> None:
    machine.file("/etc/resolv.conf", conf)
    if behind is not None:
        machine.file("/run/systemd/resolve/resolv.conf", behind)
    found = machine.look().resolver()
    assert (found["servers"], found["loopback"]) == (servers, loopback)
    assert found["upstream"] == ("/run/systemd/resolve/resolv.conf" if upstream else None)


def test_listening_ports_and_their_processes(machine: Machine, recorded: Recorded) -> None:
    table = recorded("proc_net_tcp")
    sockets = node_state.listening_sockets(table)
    assert set(sockets.values()) == {"22", "2379", "2380", "2381", "10248", "10249", "10257", "10259", "37713", "44809"}
    machine.file("/proc/net/tcp", table)
    machine.file("/proc/77/comm", "etcd\n")
    inode = next(inode for inode, port in sockets.items() if port == "2379")
    (machine.root / "proc/77/fd").mkdir()
    (machine.root / "proc/77/fd/9").symlink_to(f"socket:[{inode}]")
    ports = machine.look().ports()
    assert ports["2379"] == "etcd"
    assert ports["22"] == "?"
    assert list(ports) == sorted(ports, key=int)


@pytest.mark.parametrize(("bounding", "expected"), [("000001ffffffffff", True), ("000001fffeffffff", False)])
def test_capabilities_are_those_that_services_can_have(machine: Machine, bounding: str, expected: bool) -> None:
    machine.file("/proc/1/status", f"Name:\tsystemd\nCapEff:\t0\nCapBnd:\t{bounding}\n")
    assert machine.look().capabilities() == {"sys_admin": True, "sys_resource": expected}


def test_control_groups(machine: Machine) -> None:
    machine.file("/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t2\t1\nmemory\t0\t3\t0\n")
    assert machine.look().cgroup() == {"version": 1, "memory": False}
    machine.file("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert machine.look().cgroup() == {"version": 2, "memory": True}


def test_kinds_of_containers(machine: Machine) -> None:
    assert machine.look().container() is None
    machine.file("/.dockerenv", "")
    assert machine.look().container() == "docker"
    machine.file("/proc/1/environ", "PATH=/bin\0container=podman\0")
    assert machine.look().container() == "podman"


def test_modules_built_in_loaded_loadable_or_missing(machine: Machine) -> None:
    machine.file("/sys/module/vxlan/parameters/udp_port", "0")
    machine.file("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
    machine.file("/proc/filesystems", "nodev\tsysfs\nnodev\toverlay\n")
    machine.file(f"/lib/modules/{os.uname().release}/modules.builtin", "kernel/net/ipv4/netfilter/ip_tables.ko\n")
    found = machine.look().modules()
    assert {name for name, state in found.items() if state == "available"} >= {
        "vxlan",
        "br_netfilter",
        "overlay",
        "ip_tables",
    }
    assert found["ip_vs"] == "missing"
    machine.programs["modprobe -n -q ip_vs"] = ""
    assert machine.look().modules()["ip_vs"] == "available"
    assert machine.look().sysctl("net.bridge.bridge-nf-call-iptables") == "1"
    assert machine.look().sysctl("net.ipv4.ip_forward") is None


@pytest.mark.parametrize(("content", "expected"), [(None, "disabled"), ("0", "permissive"), ("1", "enforcing")])
def test_selinux(machine: Machine, content: str | None, expected: str) -> None:
    if content:
        machine.file("/sys/fs/selinux/enforce", content)
    assert machine.look().selinux() == expected


def test_versions_of_containerd_and_kubelet(machine: Machine) -> None:
    machine.programs["containerd --version"] = "containerd github.com/containerd/containerd/v2 v2.3.7 0a1b2c\n"
    machine.programs["kubelet --version"] = "Kubernetes v1.36.4\n"
    look = machine.look()
    assert look.runtime({"containerd": {"ActiveState": "active"}}) == {
        "containerd": "2.3.7",
        "active": True,
        "docker_active": False,
        "cri_dockerd": False,
        "cri_dockerd_version": None,
    }
    assert look.kubernetes({})["kubelet_version"] == "1.36.4"
    machine.programs["containerd --version"] = "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1\n"
    assert machine.look().runtime({})["containerd"] == "1.6.20~ds1"


def test_docker_and_cri_dockerd(machine: Machine) -> None:
    machine.programs["cri-dockerd --version"] = "cri-dockerd 0.4.3 (HEAD)\n"
    units = {name: {"ActiveState": "active"} for name in ("docker", "cri-docker")}
    found = machine.look().runtime(units)
    assert (found["docker_active"], found["cri_dockerd"], found["cri_dockerd_version"]) == (True, True, "0.4.3")


def test_digests_change_with_the_files(machine: Machine) -> None:
    machine.file("/etc/containerd/config.toml", "version = 3\n")
    machine.file("/etc/kubernetes/manifests/etcd.yaml", "kind: Pod\n")
    first = machine.look().digests()
    assert set(first) == {"/etc/containerd/config.toml", "/etc/kubernetes/manifests/etcd.yaml"}
    machine.file("/etc/containerd/config.toml", "version = 2\n")
    assert machine.look().digests()["/etc/containerd/config.toml"] != first["/etc/containerd/config.toml"]
