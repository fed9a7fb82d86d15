"""Each finding is triggered once by the state that it is about, and stays away from a machine without fault."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._preflight import (
    FINDINGS,
    KINDS,
    Finding,
    connection_problem,
    judge,
    report,
)

GIGABYTE = 1024


def _disk(available_gb: float, size_gb: float = 100) -> dict[str, Any]:
    return {"mount": "/var/lib", "size_mb": int(size_gb * GIGABYTE), "available_mb": int(available_gb * GIGABYTE)}


MOVED = {"cluster_endpoint": "192.0.2.7:6443"}


def _state(number: int) -> dict[str, Any]:
    """A machine without fault, as node_state tells of it before anything was installed."""
    return {
        "hostname": f"machine-{number}",
        "machine_id": f"{number:032x}",
        "product_uuid": f"4c4c4544-0000-0000-0000-{number:012x}",
        "interfaces": [{"name": "eth0", "mac": f"52:54:00:00:00:{number:02x}", "addresses": [f"192.0.2.{number}/24"]}],
        "default_interface": "eth0",
        "default_address": f"192.0.2.{number}",
        "os": {
            "id": "debian",
            "version_id": "12",
            "family": "debian",
            "pretty_name": "Debian GNU/Linux 12 (bookworm)",
            "architecture": "amd64",
            "bits": 64,
            "hypriot": "",
        },
        "raspberry_pi": None,
        "cpus": 2,
        "memory_mb": 1960,
        "python": "3.11.2",
        "time": {"epoch": 1000.2, "synchronized": True, "window": [1000.0, 1000.5]},
        "swap": {"active": ["/dev/sda2"], "fstab": True, "rpi_swap": False},
        "cgroup": {"version": 2, "memory": True},
        "capabilities": {"sys_resource": True, "sys_admin": True},
        "container": None,
        "modules": dict.fromkeys(("br_netfilter", "overlay", "nf_tables", "ip_tables", "ip_vs", "vxlan"), "available"),
        "firewall": {"firewalld": "absent", "ufw": "inactive"},
        "resolver": {"path": "/etc/resolv.conf", "servers": ["192.0.2.1"], "loopback": False, "upstream": None},
        "iptables": {"variant": "nft", "agree": True},
        "ports": {"22": "sshd"},
        "disks": dict.fromkeys(
            ("/", "/var/lib", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd"), _disk(60)
        ),
        "packages": dict.fromkeys(
            ("kubeadm", "kubelet", "kubectl", "containerd.io", "containerd", "docker-ce", "docker.io")
        ),
        "runtime": {"cri_dockerd": False},
        "kubernetes": {
            "stage": "absent",
            "role": None,
            "node_name": None,
            "server": None,
            "ca_hash": None,
            "kubelet_version": None,
            "api_server_version": None,
            "api_healthy": None,
            "external_etcd": False,
            "settings": {},
            "traces": [],
        },
    }


def _spec(number: int, control_plane: bool) -> dict[str, Any]:
    return {
        "node": True,
        "control_plane": control_plane,
        "load_balancer": False,
        "load_balancers": [],
        "load_balancer_addresses": [],
        "load_balancer_port": 6443,
        "virtual_router_id": 0,
        "external_etcd": False,
        "settings": {
            "cluster_pod_cidr": "10.244.0.0/16",
            "cluster_endpoint": "192.0.2.1:6443",
            "cluster_network": "flannel",
        },
        "control_planes": ["cp-1"],
        "endpoint_hosts": ["192.0.2.1", "cp-1"],
        "servers": ["192.0.2.1:6443"],
        "before_reset": False,
        "reset_packages": True,
        "ansible_host": f"192.0.2.{number}",
        "kubernetes_version": "1.36.4",
        "network_ports": ["8472/udp"],
        "cluster_api_port": 6443,
        "cluster_calico_encapsulation": "vxlan",
        "cluster_container_runtime": "containerd",
        "cluster_containerd_source": "docker",
        "cluster_flannel_backend": "vxlan",
        "cluster_kubelet_config": {},
        "cluster_network": "flannel",
        "cluster_node_address": "",
        "cluster_node_port_range": "30000-32767",
        "cluster_pod_cidr": "10.244.0.0/16",
        "cluster_preflight_ignore": [],
        "cluster_proxy_mode": "iptables",
        "cluster_set_hostname": True,
        "cluster_swap": "off",
        "cluster_virtual_ip": "",
        "cluster_virtual_ip_interface": "",
    }


class Machines:
    """Two machines without fault, cp-1 and worker-1, to be broken by a test."""

    def __init__(self) -> None:
        self.states = {"cp-1": _state(1), "worker-1": _state(2)}
        self.specs = {"cp-1": _spec(1, control_plane=True), "worker-1": _spec(2, control_plane=False)}
        self.problems: dict[str, tuple[str, str]] = {}
        self.probes: dict[str, dict[str, Any]] = {}

    def add_load_balancers(self) -> None:
        """Put lb-1 and lb-2, that nothing was installed on, before the cluster."""
        for number, name in ((5, LB), (6, "lb-2")):
            self.states[name], self.specs[name] = _state(number), _spec(number, control_plane=False)
            self.specs[name]["node"] = False
        self.balance(LB, "lb-2")

    def balance(self, *names: str) -> None:
        """Make these hosts the load balancers."""
        for name, spec in self.specs.items():
            spec.update(
                load_balancer=name in names,
                load_balancers=list(names),
                load_balancer_addresses=[self.specs[one]["ansible_host"] for one in names],
                load_balancer_port=8443 if "cp-1" in names else 6443,
                virtual_router_id=10,
                cluster_virtual_ip="192.0.2.10",
            )
        for name in names:
            self.probes[name] = {"answers": [], "routers": [], "keepalived": "absent", "haproxy": "absent"}

    def add_control_plane(self) -> None:
        self.states["cp-2"], self.specs["cp-2"] = _state(3), _spec(3, control_plane=True)
        for spec in self.specs.values():
            spec["control_planes"] = ["cp-1", "cp-2"]

    def member(self, host: str, **kubernetes: Any) -> None:
        """Make the host a running node of the cluster that cp-1 runs."""
        control_plane = self.specs[host]["control_plane"]
        self.states[host]["kubernetes"].update(
            stage="member",
            role="control_plane" if control_plane else "worker",
            node_name=host,
            server="https://192.0.2.1:6443",
            ca_hash="sha256:aa",
            kubelet_version="1.36.4",
        )
        self.states[host]["kubernetes"].update(kubernetes)
        self.states[host]["packages"].update(
            {"kubeadm": "1.36.4-1.1", "kubelet": "1.36.4-1.1", "kubectl": "1.36.4-1.1"}
        )
        self.states[host]["ports"].update({"10250": "kubelet"})

    def judge(self) -> list[Finding]:
        return judge(self.states, self.specs, self.problems, self.probes)

    def found(self) -> set[tuple[str, str, str]]:
        return {(finding.host, finding.name, finding.level) for finding in self.judge()}


@pytest.fixture
def machines() -> Machines:
    return Machines()


def _set(host: str, path: str, value: Any) -> Callable[[Machines], None]:
    """Set one value of a host's state; the path's parts are separated by spaces, since keys have dots."""

    def apply(machines: Machines) -> None:
        *parents, last = path.split()
        target: Any = machines.states[host]
        for key in parents:
            target = target[key]
        target[last] = value

    return apply


def _wish(variable: str, value: Any) -> Callable[[Machines], None]:
    def apply(machines: Machines) -> None:
        for spec in machines.specs.values():
            spec[variable] = value

    return apply


def _all(*changes: Callable[[Machines], None]) -> Callable[[Machines], None]:
    def apply(machines: Machines) -> None:
        for change in changes:
            change(machines)

    return apply


def _copy(path: str) -> Callable[[Machines], None]:
    def apply(machines: Machines) -> None:
        value: Any = machines.states["cp-1"]
        for key in path.split():
            value = value[key]
        _set("worker-1", path, copy.deepcopy(value))(machines)

    return apply


def _same_mac(machines: Machines) -> None:
    machines.states["worker-1"]["interfaces"][0]["mac"] = machines.states["cp-1"]["interfaces"][0]["mac"]


def _bridges(machines: Machines) -> None:
    for state in machines.states.values():
        state["interfaces"].append({"name": "virbr0", "mac": "52:54:00:aa:aa:aa", "addresses": []})


def _member(host: str, **kubernetes: Any) -> Callable[[Machines], None]:
    return lambda machines: machines.member(host, **kubernetes)


def _problem(name: str) -> Callable[[Machines], None]:
    def apply(machines: Machines) -> None:
        del machines.states["worker-1"]
        machines.problems["worker-1"] = (name, "what was seen")

    return apply


def _second_authority(machines: Machines) -> None:
    machines.add_control_plane()
    machines.member("cp-1")
    machines.member("cp-2", ca_hash="sha256:bb", server="https://192.0.2.3:6443")


def _control_plane_balances(machines: Machines) -> None:
    machines.balance(CP)


def _balanced(*changes: Callable[[Machines], None]) -> Callable[[Machines], None]:
    return _all(Machines.add_load_balancers, *changes)


def _probe(host: str, **seen: Any) -> Callable[[Machines], None]:
    return lambda machines: machines.probes[host].update(seen)


def _has(host: str, *addresses: str) -> Callable[[Machines], None]:
    return lambda machines: machines.states[host]["interfaces"][0]["addresses"].extend(addresses)


def _leave_out(host: str) -> Callable[[Machines], None]:
    def apply(machines: Machines) -> None:
        del machines.states[host], machines.specs[host], machines.probes[host]

    return apply


def _second_card(machines: Machines) -> None:
    for host in (LB, LB2):
        card = {"name": "eth1", "mac": f"eth1 of {host}", "addresses": ["198.51.100.5/24"]}
        machines.states[host]["interfaces"].append(card)


def _router(identifier: int, source: str) -> dict[str, Any]:
    return {"virtual_router_id": identifier, "source": source, "version": 3, "addresses": ["192.0.2.100"]}


def _unfit(host: str) -> Callable[[Machines], None]:
    """Take from a machine all that a node needs and a load balancer does not."""
    return _all(
        *(_set(host, path, value) for path, value in {"cpus": 1, "memory_mb": 512, "os architecture": "armhf"}.items()),
        *(_set(host, path, value) for path, value in {"cgroup version": 1, "iptables agree": False}.items()),
        _set(host, "modules", dict.fromkeys(_state(1)["modules"], "missing")),
        _set(host, "resolver servers", []),
        _set(host, "disks", dict.fromkeys(("/var/lib", "/var/lib/containerd"), _disk(1))),
        _set(host, "ports", {"10250": "nginx", "2379": "etcd"}),
        _set(host, "packages kubelet", "1.37.1-1.1"),
        _set(host, "packages docker-ce", "5:29.0.1-1"),
        _set(host, "kubernetes stage", "partial"),
    )


def _disks(available_gb: float, size_gb: float = 100) -> Callable[[Machines], None]:
    disk = _disk(available_gb, size_gb)
    return _set("worker-1", "disks", dict.fromkeys(("/var/lib", "/var/lib/containerd", "/var/lib/kubelet"), disk))


CP, WORKER, LB, LB2 = "cp-1", "worker-1", "lb-1", "lb-2"
LOOP = {"path": "/etc/resolv.conf", "servers": ["127.0.0.11"], "loopback": True, "upstream": None}
UPSTREAM = {**LOOP, "servers": ["127.0.0.53"], "upstream": "/run/systemd/resolve/resolv.conf"}
RASPBERRY_PI = {"model": "Raspberry Pi 4 Model B Rev 1.4", "command_line": "/boot/firmware/cmdline.txt"}
CONTAINER = _set(WORKER, "container", "docker")
AUTHORITY = _member(CP)

# What is broken, and the findings that it leads to, as (host, name, level); nothing else may be found.
TRIGGERS: dict[str, tuple[Callable[[Machines], None], set[tuple[str, str, str]]]] = {
    "a refused login": (_problem("login-refused"), {(WORKER, "login-refused", "error")}),
    "an unknown host key": (_problem("host-key"), {(WORKER, "host-key", "error")}),
    "a password for sudo": (_problem("become-password"), {(WORKER, "become-password", "error")}),
    "no sudo": (_problem("become-missing"), {(WORKER, "become-missing", "error")}),
    "unreachable": (_problem("unreachable"), {(WORKER, "unreachable", "error")}),
    "not examined": (_problem("not-examined"), {(WORKER, "not-examined", "error")}),
    "another family": (_set(WORKER, "os family", "other"), {(WORKER, "unsupported-os", "error")}),
    "another release": (_set(WORKER, "os version_id", "11"), {(WORKER, "untested-os", "warning")}),
    "32-bit processor": (_set(WORKER, "os architecture", "armhf"), {(WORKER, "architecture", "error")}),
    "32-bit programs": (_set(WORKER, "os bits", 32), {(WORKER, "architecture", "error")}),
    "old python": (_set(WORKER, "python", "3.8.10"), {(WORKER, "python-old", "error")}),
    "one CPU": (_set(CP, "cpus", 1), {(CP, "cpus", "error")}),
    "little memory for a control plane": (_set(CP, "memory_mb", 1699), {(CP, "memory", "error")}),
    "little memory for a worker": (_set(WORKER, "memory_mb", 1024), {(WORKER, "memory", "warning")}),
    "one MAC": (_same_mac, {(CP, "duplicate-mac", "error"), (WORKER, "duplicate-mac", "error")}),
    "one product_uuid": (
        _copy("product_uuid"),
        {(CP, "duplicate-product-uuid", "error"), (WORKER, "duplicate-product-uuid", "error")},
    ),
    "one machine-id": (
        _copy("machine_id"),
        {(CP, "duplicate-machine-id", "error"), (WORKER, "duplicate-machine-id", "error")},
    ),
    "one hostname": (
        _all(_copy("hostname"), _wish("cluster_set_hostname", False)),
        {(CP, "duplicate-hostname", "error"), (WORKER, "duplicate-hostname", "error")},
    ),
    "clock 5 s ahead": (_set(WORKER, "time epoch", 1005.2), {(WORKER, "clock-apart", "warning")}),
    "clock an hour behind": (_set(WORKER, "time epoch", -2600.0), {(WORKER, "clock-apart", "error")}),
    "clock alone": (_set(WORKER, "time synchronized", False), {(WORKER, "clock-unsynchronized", "warning")}),
    "swap of the host": (CONTAINER, {(WORKER, "swap-of-host", "error")}),
    "cgroup v1": (_set(WORKER, "cgroup version", 1), {(WORKER, "cgroup-v1", "error")}),
    "no memory controller": (_set(WORKER, "cgroup memory", False), {(WORKER, "cgroup-memory", "error")}),
    "no memory controller, and no command line to turn it on by": (
        _all(_set(WORKER, "cgroup memory", False), _set(WORKER, "raspberry_pi", {**RASPBERRY_PI, "command_line": ""})),
        {(WORKER, "cgroup-memory", "error")},
    ),
    "HypriotOS": (_set(WORKER, "os hypriot", "HypriotOS/arm64"), {(WORKER, "hypriotos", "error")}),
    "no br_netfilter": (_set(WORKER, "modules br_netfilter", "missing"), {(WORKER, "kernel-modules", "error")}),
    "no overlay": (_set(WORKER, "modules overlay", "missing"), {(WORKER, "kernel-modules", "error")}),
    "no vxlan": (_set(WORKER, "modules vxlan", "missing"), {(WORKER, "kernel-modules", "error")}),
    "no ipip": (
        _all(
            _set(WORKER, "modules ipip", "missing"),
            _wish("cluster_network", "calico"),
            _wish("cluster_calico_encapsulation", "ipip-cross-subnet"),
        ),
        {(WORKER, "kernel-modules", "error")},
    ),
    "no ip_vs": (
        _all(_set(WORKER, "modules ip_vs", "missing"), _wish("cluster_proxy_mode", "ipvs")),
        {(WORKER, "kernel-modules", "error")},
    ),
    "no nf_tables": (
        _all(_set(WORKER, "modules nf_tables", "missing"), _wish("cluster_proxy_mode", "nftables")),
        {(WORKER, "kernel-modules", "error")},
    ),
    "no packet filter at all": (
        _all(_set(WORKER, "modules nf_tables", "missing"), _set(WORKER, "modules ip_tables", "missing")),
        {(WORKER, "kernel-modules", "error")},
    ),
    "resolver loop": (_set(WORKER, "resolver", LOOP), {(WORKER, "resolver-loop", "error")}),
    "no resolver": (_set(WORKER, "resolver servers", []), {(WORKER, "resolver-empty", "error")}),
    "API port taken": (_set(CP, "ports 6443", "haproxy"), {(CP, "port-in-use", "error")}),
    "kubelet's port taken": (_set(WORKER, "ports 10250", "?"), {(WORKER, "port-in-use", "error")}),
    "kubelet of another": (_set(WORKER, "ports 10250", "kubelet"), {(WORKER, "port-in-use", "error")}),
    "port taken on a member": (
        _all(AUTHORITY, _set(CP, "ports 2379", "etcd-of-others"), _set(CP, "ports 10259", "nginx")),
        {(CP, "port-in-use", "error")},
    ),
    "little disk": (_disks(4.9, 20), {(WORKER, "disk-small", "error")}),
    "full disk": (_all(_disks(16), _set(CP, "cpus", 2)), set()),
    "disk from which images are collected": (
        _all(_disks(15.5), _wish("cluster_kubelet_config", {"imageGCHighThresholdPercent": 80})),
        {(WORKER, "disk-full", "warning")},
    ),
    "disk below the eviction threshold": (
        _disks(14),
        {(WORKER, "disk-full", "warning"), (WORKER, "disk-eviction", "error")},
    ),
    "disk below an absolute threshold": (
        _all(_disks(20), _wish("cluster_kubelet_config", {"evictionHard": {"nodefs.available": "25Gi"}})),
        {(WORKER, "disk-eviction", "error")},
    ),
    "little disk on a member": (_all(AUTHORITY, _member(WORKER), _disks(4.9, 20)), {(WORKER, "disk-small", "warning")}),
    "iptables apart": (_set(WORKER, "iptables agree", False), {(WORKER, "iptables-disagree", "error")}),
    "ufw": (_set(WORKER, "firewall ufw", "active"), {(WORKER, "ufw-active", "warning")}),
    "two clusters": (_second_authority, {(CP, "two-clusters", "error"), ("cp-2", "two-clusters", "error")}),
    "a worker of another authority": (
        _all(AUTHORITY, _member(WORKER, ca_hash="sha256:bb")),
        {(WORKER, "foreign-member", "error")},
    ),
    "a worker while no control plane runs": (_member(WORKER), {(WORKER, "foreign-member", "error")}),
    "partial": (_set(WORKER, "kubernetes stage", "partial"), {(WORKER, "partial", "error")}),
    "a worker that ran as control plane": (
        _all(AUTHORITY, _member(WORKER, role="control_plane")),
        {(WORKER, "role-changed", "error")},
    ),
    "another node name": (_all(AUTHORITY, _member(WORKER, node_name="w1")), {(WORKER, "node-renamed", "error")}),
    "sick API server": (_member(CP, api_healthy=False), {(CP, "api-unhealthy", "warning")}),
    "newer packages": (_set(WORKER, "packages kubelet", "1.37.1-1.1"), {(WORKER, "kubernetes-newer", "error")}),
    "another pod range": (
        _member(CP, settings={"cluster_pod_cidr": "10.0.0.0/8", "cluster_network": "flannel"}),
        {(CP, "setting-fixed", "error")},
    ),
    "another endpoint, seen on two hosts": (
        lambda machines: [machines.member(name, settings=MOVED) for name in (CP, WORKER)],
        {(CP, "setting-fixed", "error")},
    ),
    "etcd elsewhere": (_member(CP, external_etcd=True), {(CP, "setting-fixed", "error")}),
    "another minor runs": (_member(CP, kubelet_version="1.35.8"), {(CP, "kubernetes-older", "error")}),
    "another patch runs": (_member(CP, kubelet_version="1.36.3"), {(CP, "kubernetes-older", "error")}),
    "an older API server runs": (_member(CP, api_server_version="1.35.8"), {(CP, "kubernetes-older", "error")}),
    "a newer API server runs": (_member(CP, api_server_version="1.37.1"), {(CP, "kubernetes-newer", "error")}),
    "an address of others": (_set(WORKER, "interfaces", []), {(WORKER, "address-missing", "error")}),
    "a container without privileges": (
        _all(CONTAINER, _set(WORKER, "swap active", []), _set(WORKER, "capabilities sys_admin", False)),
        {(WORKER, "container-privileges", "error")},
    ),
    "the distribution's containerd": (
        _set(WORKER, "packages containerd", "1.6.20~ds1-1"),
        {(WORKER, "runtime-conflict", "error")},
    ),
    "Docker's containerd": (
        _all(_set(WORKER, "packages containerd.io", "2.3.7-1"), _wish("cluster_containerd_source", "distribution")),
        {(WORKER, "runtime-conflict", "error")},
    ),
    "Docker": (_set(WORKER, "packages docker-ce", "5:29.0.1-1"), {(WORKER, "docker-present", "warning")}),
    "Docker as the runtime": (
        _all(_wish("cluster_container_runtime", "docker"), _set(WORKER, "packages docker-ce", "5:29.0.1-1")),
        {(WORKER, "docker-taken-over", "warning")},
    ),
    "another runtime than the node's": (
        _all(
            _member(CP, settings={"cluster_container_runtime": "containerd"}),
            lambda machines: machines.specs[CP]["settings"].update(cluster_container_runtime="docker"),
        ),
        {(CP, "setting-fixed", "error")},
    ),
    "a load balancer of another family": (
        _balanced(_set(LB, "os family", "other")),
        {(LB, "unsupported-os", "error")},
    ),
    "a load balancer's old python": (_balanced(_set(LB, "python", "3.8.10")), {(LB, "python-old", "error")}),
    "a load balancer's clock": (_balanced(_set(LB, "time epoch", 1005.2)), {(LB, "clock-apart", "warning")}),
    "a load balancer and a node of one copy": (
        _balanced(_set(LB, "machine_id", _state(1)["machine_id"])),
        {(CP, "duplicate-machine-id", "error"), (LB, "duplicate-machine-id", "error")},
    ),
    "a load balancer behind translation": (
        _balanced(_set(LB, "interfaces", [])),
        {(LB, "address-missing", "error")},
    ),
    "a load balancer's firewall": (_balanced(_set(LB, "firewall ufw", "active")), {(LB, "ufw-active", "warning")}),
    "the load balancer's port taken": (_balanced(_set(LB, "ports 6443", "nginx")), {(LB, "port-in-use", "error")}),
    "the load balancer's port, nobody knows by whom": (
        _balanced(_set(LB, "ports 6443", "?")),
        {(LB, "port-in-use", "error")},
    ),
    "both ports of a control plane that balances": (
        _all(_control_plane_balances, _set(CP, "ports", {"6443": "nginx", "8443": "kube-apiserver"})),
        {(CP, "port-in-use", "error")},
    ),
    "no such interface": (
        _balanced(_wish("cluster_virtual_ip_interface", "eth9")),
        {(LB, "virtual-ip-interface", "error"), (LB2, "virtual-ip-interface", "error")},
    ),
    "an interface in another network": (
        _balanced(_set(LB, "interfaces", [{"name": "eth0", "mac": "x", "addresses": ["192.0.2.5/29", "fd00::5/64"]}])),
        {(LB, "virtual-ip-network", "error")},
    ),
    "the last address of the network": (
        _balanced(_wish("cluster_virtual_ip", "192.0.2.255")),
        {(LB, "virtual-ip-network", "error"), (LB2, "virtual-ip-network", "error")},
    ),
    "a machine without the interface's network, though it has the address": (
        _balanced(
            _set(LB, "interfaces", [{"name": "eth0", "mac": "x", "addresses": ["192.0.2.5/32", "192.0.2.10/32"]}]),
            _probe(LB, keepalived="ours"),
        ),
        {(LB, "virtual-ip-network", "error")},
    ),
    "the virtual IP of a stranger": (
        _balanced(_probe(LB, answers=["52:54:00:99:99:99"])),
        {(LB, "virtual-ip-in-use", "error")},
    ),
    "the virtual IP of a worker": (
        _balanced(_has(WORKER, "192.0.2.10/24"), _probe(LB, answers=["52:54:00:00:00:02"])),
        {(WORKER, "virtual-ip-in-use", "error")},
    ),
    "a worker that answers for the virtual IP": (
        _balanced(_probe(LB, answers=["52:54:00:00:00:02"])),
        {(LB, "virtual-ip-in-use", "error")},
    ),
    "the virtual IP as a load balancer's own": (
        _balanced(_has(LB2, "192.0.2.10/24"), _probe(LB, answers=["52:54:00:00:00:06"])),
        {(LB2, "virtual-ip-in-use", "error")},
    ),
    "the virtual IP of a stranger, or of one left out": (
        _balanced(
            _probe(LB, answers=["52:54:00:99:99:99"], routers=[_router(10, "192.0.2.99")]),
            _leave_out(LB2),
        ),
        {(LB, "virtual-ip-in-use", "warning"), (LB, "virtual-router-id-taken", "warning")},
    ),
    "a probe that failed": (
        _balanced(_probe(LB, failure="needs root")),
        {(LB, "virtual-ip-unprobed", "warning")},
    ),
    "the virtual router id of a stranger": (
        _balanced(_probe(LB, routers=[_router(10, "192.0.2.99")])),
        {(LB, "virtual-router-id-taken", "error")},
    ),
    "keepalived of others": (_balanced(_probe(LB, keepalived="foreign")), {(LB, "keepalived-foreign", "error")}),
    "haproxy of others": (_balanced(_probe(LB, haproxy="foreign")), {(LB, "haproxy-foreign", "error")}),
    "a control plane that balances, unfit for both": (
        _all(_control_plane_balances, _set(CP, "cpus", 1), _probe(CP, haproxy="foreign")),
        {(CP, "cpus", "error"), (CP, "haproxy-foreign", "error")},
    ),
}

# What looks like one of the findings and is none.
CALM: dict[str, Callable[[Machines], None]] = {
    "nothing broken": lambda machines: None,
    "a whole cluster": _all(AUTHORITY, _member(WORKER)),
    "Ubuntu": _set(WORKER, "os", {**_state(1)["os"], "id": "ubuntu", "version_id": "24.04"}),
    "Rocky": _set(WORKER, "os", {**_state(1)["os"], "id": "rocky", "version_id": "9.6", "family": "redhat"}),
    "arm64": _set(WORKER, "os architecture", "arm64"),
    "a Raspberry Pi as it is installed": _all(
        _set(WORKER, "os architecture", "arm64"),
        _set(WORKER, "cgroup memory", False),
        _set(WORKER, "raspberry_pi", RASPBERRY_PI),
    ),
    "oldest python": _set(WORKER, "python", "3.9.2"),
    "one CPU on a worker": _set(WORKER, "cpus", 1),
    "no product_uuid anywhere": _all(_set(CP, "product_uuid", None), _set(WORKER, "product_uuid", None)),
    "no product_uuid of its own": _all(
        _set(CP, "product_uuid", "03000200-0400-0500-0006-000700080009"), _copy("product_uuid")
    ),
    "the product_uuid under two containers": _all(
        _wish("cluster_swap", "keep"), CONTAINER, _set(CP, "container", "docker"), _copy("product_uuid")
    ),
    "one hostname, about to be set": _copy("hostname"),
    "the same MAC on an interface of no use": _bridges,
    "a slow look": _set(WORKER, "time", {"epoch": 1009.0, "synchronized": True, "window": [1000.0, 1010.0]}),
    "looks an hour apart": _set(WORKER, "time", {"epoch": 4600.2, "synchronized": True, "window": [4600.0, 4600.4]}),
    "a clock that nobody knows of": _set(WORKER, "time synchronized", None),
    "the clock of a container": _all(
        CONTAINER, _set(WORKER, "swap active", []), _set(WORKER, "time synchronized", False)
    ),
    "swap kept": _all(CONTAINER, _wish("cluster_swap", "keep")),
    "no vxlan, not needed": _all(_set(WORKER, "modules vxlan", "missing"), _wish("cluster_flannel_backend", "host-gw")),
    "no vxlan, not needed by Calico": _all(
        _set(WORKER, "modules vxlan", "missing"),
        _wish("cluster_network", "calico"),
        _wish("cluster_calico_encapsulation", "bgp"),
    ),
    "no ip_vs, not needed": _set(WORKER, "modules ip_vs", "missing"),
    "no ip_tables, nf_tables there": _set(WORKER, "modules ip_tables", "missing"),
    "a loop with servers behind it": _set(WORKER, "resolver", UPSTREAM),
    "a loop with another file named": _all(
        _set(WORKER, "resolver", LOOP), _wish("cluster_kubelet_config", {"resolvConf": "/etc/resolv-upstream.conf"})
    ),
    "the API port taken on a worker": _set(WORKER, "ports 6443", "haproxy"),
    "own ports of a member": _all(
        _member(CP),
        _set(CP, "ports 6443", "kube-apiserver"),
        _set(CP, "ports 10257", "kube-controller"),
        _set(CP, "ports 2380", "?"),
    ),
    "own ports of an interrupted run": _all(
        _set(CP, "kubernetes stage", "interrupted"), _set(CP, "ports 2379", "etcd"), _set(CP, "ports 10250", "kubelet")
    ),
    "a full disk and a kubelet that was told": _all(
        _disks(12),
        _wish(
            "cluster_kubelet_config",
            {
                "imageGCHighThresholdPercent": 100,
                "evictionHard": {"nodefs.available": "1Gi", "imagefs.available": "1Gi"},
            },
        ),
    ),
    "older packages on no node yet": _set(WORKER, "packages kubelet", "1.35.8-1.1"),
    "a further control plane without authority": _all(Machines.add_control_plane, _member(CP)),
    "its own address behind translation": _all(
        _wish("ansible_host", "host.example"), _wish("cluster_node_address", "")
    ),
    "a node that runs on Docker": _all(
        _wish("cluster_container_runtime", "docker"),
        _set(WORKER, "packages docker-ce", "5:29.8.2-1"),
        _set(WORKER, "runtime cri_dockerd", True),
    ),
    "Docker's containerd where it is wanted": _set(WORKER, "packages containerd.io", "2.3.7-1"),
    "load balancers": Machines.add_load_balancers,
    "a load balancer that would be no node": _balanced(_unfit(LB)),
    "load balancers at work": _balanced(
        _has(LB, "192.0.2.10/32"),
        *(_probe(host, keepalived="ours", haproxy="ours") for host in (LB, LB2)),
        _set(LB, "ports 6443", "haproxy"),
        _set(LB2, "ports 6443", "?"),
    ),
    "a further load balancer that hears the others": _balanced(
        _has(LB, "192.0.2.10/32"),
        _probe(LB, keepalived="ours", haproxy="ours"),
        _probe(LB2, answers=["52:54:00:00:00:05"], routers=[_router(10, "192.0.2.5")]),
    ),
    "a load balancer left out, known by its address": _balanced(
        _probe(LB, routers=[_router(10, "192.0.2.6")]),
        _leave_out(LB2),
    ),
    "packages' own configurations": _balanced(_probe(LB, keepalived="default", haproxy="default")),
    "a router with another id": _balanced(_probe(LB, routers=[_router(51, "192.0.2.99")])),
    "control planes that balance": _all(
        _control_plane_balances, _member(CP), _set(CP, "ports", {"6443": "kube-apiserver"})
    ),
    "an interface of its own for the virtual IP": _balanced(
        _second_card,
        _wish("cluster_virtual_ip_interface", "eth1"),
        _wish("cluster_virtual_ip", "198.51.100.10"),
    ),
    "etcd of one's own on a control plane": _all(
        _wish("external_etcd", True), _set(CP, "ports 2379", "etcd"), _set(CP, "ports 2380", "etcd")
    ),
}


def test_every_finding_is_triggered_by_some_case() -> None:
    triggered = {name for _, found in TRIGGERS.values() for _, name, _ in found}
    assert triggered == set(FINDINGS)


@pytest.mark.parametrize("case", TRIGGERS)
def test_finds_what_is_broken_and_nothing_else(case: str, machines: Machines) -> None:
    change, expected = TRIGGERS[case]
    change(machines)
    assert machines.found() == expected


@pytest.mark.parametrize("case", CALM)
def test_finds_nothing_where_nothing_is_wrong(case: str, machines: Machines) -> None:
    CALM[case](machines)
    assert machines.found() == set()


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Missing sudo password", "become-password"),
        ("Incorrect sudo password", "become-password"),
        ("Timeout (12s) waiting for privilege escalation prompt: ", "become-password"),
        (
            "Module result deserialization failed: No start of json char found /bin/sh: 1: sudo: not found",
            "become-missing",
        ),
        ("Failed to connect to the host via ssh: root@192.0.2.1: Permission denied (publickey).", "login-refused"),
        ("Failed to connect to the host via ssh: Host key verification failed.", "host-key"),
        ("Failed to connect to the host via ssh: ssh: connect to host 192.0.2.1 port 22: No route to host", None),
    ],
)
def test_ansibles_words_tell_why_a_machine_was_not_reached(said: str, name: str | None) -> None:
    assert connection_problem(said) == name


def _before_reset(machines: Machines, *, packages: bool = True) -> None:
    for spec in machines.specs.values():
        spec.update(before_reset=True, reset_packages=packages)


@pytest.mark.parametrize(
    "case",
    [
        "a worker of another authority",
        "a worker while no control plane runs",
        "partial",
        "a worker that ran as control plane",
        "another node name",
        "newer packages",
        "another minor runs",
    ],
)
def test_what_goes_with_the_old_cluster_does_not_keep_it(case: str, machines: Machines) -> None:
    change, expected = TRIGGERS[case]
    change(machines)
    _before_reset(machines)
    assert machines.found() == {(host, name, "warning") for host, name, _ in expected}
    told = report(machines.judge(), list(machines.specs))
    assert "none stops the run" in told
    assert "it goes with the old cluster" in told
    assert "accept" not in told


def test_a_machine_that_the_reset_would_refuse_keeps_the_old_cluster(machines: Machines) -> None:
    _all(AUTHORITY, _member(WORKER, ca_hash="sha256:bb", server="https://203.0.113.7:6443"))(machines)
    _before_reset(machines)
    assert machines.found() == {(WORKER, "foreign-member", "error")}


def test_packages_that_stay_are_too_new_after_the_reset_as_well(machines: Machines) -> None:
    _set(WORKER, "packages kubelet", "1.37.1-1.1")(machines)
    _before_reset(machines, packages=False)
    assert machines.found() == {(WORKER, "kubernetes-newer", "error")}


def test_ports_may_change_hands_between_the_old_cluster_and_the_new(machines: Machines) -> None:
    _all(AUTHORITY, _set(CP, "ports 2379", "kube-apiserver"), _set(CP, "ports 10259", "nginx"))(machines)
    machines.balance(CP)
    _probe(CP, haproxy="ours", keepalived="ours")(machines)
    _set(CP, "ports 6443", "haproxy")(machines)
    _before_reset(machines)
    (finding,) = machines.judge()
    assert (finding.name, finding.seen) == ("port-in-use", "TCP port 10259 (for kube-scheduler) is held by nginx")


def test_what_the_reset_leaves_is_told_first_where_hosts_differ(machines: Machines) -> None:
    machines.add_control_plane()
    _all(AUTHORITY, _member(WORKER, ca_hash="sha256:bb"))(machines)
    machines.states["worker-9"], machines.specs["worker-9"] = _state(9), _spec(9, control_plane=False)
    machines.member("worker-9", ca_hash="sha256:cc", server="https://203.0.113.7:6443")
    _before_reset(machines)
    told = report(machines.judge(), list(machines.specs))
    assert "1 must be settled first" in told
    assert "do:  If nothing on it is needed any more" in told


def test_a_limited_run_compares_the_worker_with_the_endpoint(machines: Machines) -> None:
    del machines.states[CP], machines.specs[CP]
    machines.member(WORKER)
    assert machines.found() == set()
    machines.states[WORKER]["kubernetes"]["server"] = "https://203.0.113.7:6443"
    (finding,) = machines.judge()
    assert (finding.name, finding.seen) == (
        "foreign-member",
        "its API server is https://203.0.113.7:6443, this cluster's is 192.0.2.1",
    )


def _seen(machines: Machines) -> list[tuple[str, str]]:
    return [(finding.name, finding.seen) for finding in machines.judge()]


def test_a_missing_interface_comes_with_those_that_are_there(machines: Machines) -> None:
    machines.add_load_balancers()
    machines.specs[LB]["cluster_virtual_ip_interface"] = "enp1s0"
    machines.states[LB]["interfaces"].append({"name": "enp1s1", "mac": "x", "addresses": []})
    assert _seen(machines) == [
        ("virtual-ip-interface", "there is no enp1s0, the machine has eth0, enp1s1; did you mean eth0?")
    ]
    machines.specs[LB]["cluster_virtual_ip"] = "198.51.100.10"
    assert _seen(machines)[0][1].endswith("did you mean enp1s1?")


def test_a_network_without_the_virtual_ip_is_shown(machines: Machines) -> None:
    machines.add_load_balancers()
    machines.specs[LB]["cluster_virtual_ip"] = "198.51.100.10"
    assert _seen(machines) == [
        ("virtual-ip-network", "198.51.100.10 is cluster_virtual_ip; eth0 has 192.0.2.5/24"),
    ]


def test_who_answers_is_named_where_it_is_known(machines: Machines) -> None:
    machines.add_load_balancers()
    machines.probes[LB]["answers"] = ["52:54:00:00:00:02", "52:54:00:99:99:99"]
    assert [seen for _name, seen in _seen(machines)] == [
        "52:54:00:00:00:02 of worker-1 answers for 192.0.2.10",
        "52:54:00:99:99:99 answers for 192.0.2.10",
    ]


def test_a_virtual_router_id_is_proposed_that_nobody_was_heard_with(machines: Machines) -> None:
    machines.add_load_balancers()
    machines.probes[LB]["routers"] = [_router(10, "192.0.2.99"), _router(11, "192.0.2.99")]
    machines.probes[LB2]["routers"] = [_router(12, "192.0.2.98")]
    (finding,) = machines.judge()
    assert finding.seen == "192.0.2.99 uses id 10 for 192.0.2.100"
    assert "cluster_virtual_router_id: 13," in finding.remedy


def test_the_firewall_of_a_load_balancer_needs_its_port_and_the_others_messages(machines: Machines) -> None:
    machines.add_load_balancers()
    machines.states[LB]["firewall"]["ufw"] = "active"
    assert _seen(machines) == [
        ("ufw-active", "ufw is active; the machine needs 6443/tcp, VRRP (protocol 112) from the other load balancers")
    ]


def test_of_three_clocks_the_odd_one_is_named(machines: Machines) -> None:
    machines.add_control_plane()
    _set(CP, "time epoch", 900.0)(machines)
    (finding,) = machines.judge()
    assert (finding.host, finding.name, finding.level) == (CP, "clock-apart", "error")
    # The others' clocks are known to within the half second that looking at them took.
    assert "behind" in finding.seen
    assert "99.7 s" in finding.seen


def test_of_two_clocks_the_one_nearer_to_the_controller_is_believed(machines: Machines) -> None:
    _set(CP, "time epoch", 1100.0)(machines)
    (finding,) = machines.judge()
    assert finding.host == CP
    assert "ahead of worker-1" in finding.seen


def test_a_finding_is_accepted_by_its_name_on_its_host(machines: Machines) -> None:
    for host in (CP, WORKER):
        _set(host, "cgroup version", 1)(machines)
    machines.specs[WORKER]["cluster_preflight_ignore"] = ["cgroup-v1"]
    assert {finding.host: (finding.accepted, finding.stops) for finding in machines.judge()} == {
        CP: (False, True),
        WORKER: (True, False),
    }


@pytest.mark.parametrize("case", ["unreachable", "partial", "two clusters"])
def test_what_would_fail_halfway_cannot_be_accepted(case: str, machines: Machines) -> None:
    TRIGGERS[case][0](machines)
    for spec in machines.specs.values():
        spec["cluster_preflight_ignore"] = list(FINDINGS)
    findings = machines.judge()
    assert findings
    assert all(finding.stops for finding in findings)
    text = report(findings, list(machines.specs))
    assert "cannot be accepted" in text
    assert "or accept it" not in text


def test_errors_come_before_warnings_in_the_order_of_the_hosts(machines: Machines) -> None:
    _set(CP, "time synchronized", False)(machines)
    _set(CP, "python", "3.6.8")(machines)
    _set(WORKER, "cgroup version", 1)(machines)
    assert [finding.name for finding in machines.judge()] == ["python-old", "clock-unsynchronized", "cgroup-v1"]


def test_the_report_says_what_why_what_to_do_and_how_to_accept(machines: Machines) -> None:
    _set(CP, "cgroup version", 1)(machines)
    _set(WORKER, "firewall ufw", "active")(machines)
    text = report(machines.judge(), list(machines.specs))
    lines = text.splitlines()
    assert lines[0] == "2 findings on 2 of 2 machines: 1 must be settled first; nothing was changed."
    assert "  error    cgroup-v1: /sys/fs/cgroup is a version 1 hierarchy" in lines
    assert f"  why: {KINDS['cgroup-v1'].why}" in lines
    assert f"  do:  {KINDS['cgroup-v1'].remedy}" in lines
    assert lines.count("  or accept it: cluster_preflight_ignore: [cgroup-v1]") == 1
    assert "cluster_preflight_ignore: [ufw-active]" not in text
    assert "10250/tcp" in text
    assert "from 10.244.0.0/16" in text


def test_the_report_explains_a_finding_of_many_hosts_once(machines: Machines) -> None:
    for host in (CP, WORKER):
        _set(host, "cgroup version", 1)(machines)
    assert report(machines.judge(), [CP, WORKER]).count("  why: ") == 1


def test_the_report_of_machines_without_fault_is_one_line(machines: Machines) -> None:
    assert report(machines.judge(), [CP, WORKER]) == "Nothing to object to on 2 machines."


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_speaks_in_whole_sentences(name: str) -> None:
    kind = KINDS[name]
    assert kind.level in ("error", "warning")
    assert name == name.lower()
    for text in (kind.summary, kind.why, kind.remedy):
        assert text.endswith(".")
        assert "  " not in text
