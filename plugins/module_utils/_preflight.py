# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the machines of an inventory can become, or stay, the nodes of one cluster and the load balancers before it.

Works on what node_state saw of each machine, on what virtual_ip_probe heard on load balancers and on the variables of each
host, and touches nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import ipaddress
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._settings import REBUILD, differing, refusal
from ansible_collections.kubestead.cluster.plugins.module_utils._topology import node_address

State = t.Mapping[str, t.Any]
Spec = t.Mapping[str, t.Any]

ERROR = "error"
WARNING = "warning"

MINIMUM_PYTHON = (3, 9)
MINIMUM_CPUS = 2
MINIMUM_MEMORY_MB = 1700
MINIMUM_DISK_MB = 5 * 1024
CLOCK_WARNING_SECONDS = 2.0
CLOCK_ERROR_SECONDS = 60.0

ARCHITECTURES = ("amd64", "arm64")
TESTED_SYSTEMS = {
    **dict.fromkeys(("debian", "raspbian"), ("12", "13")),
    "ubuntu": ("22.04", "24.04"),
    **dict.fromkeys(("rhel", "rocky", "almalinux", "centos", "ol"), ("9", "10")),
}
# Firmware of cheap boards carries these instead of numbers of its own.
_PLACEHOLDER_UUID = re.compile(r"^[0f-]+$|^03000200-0400-0500-0006-000700080009$")
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)$")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_KUBELET_EVICTION = {"nodefs.available": "10%", "imagefs.available": "15%"}
# What is wrong only with the cluster that a reset is about to take off; of packages, where they go too.
_GONE_WITH_CLUSTER = ("partial", "role-changed", "node-renamed", "kubernetes-older")
_GONE_WITH_PACKAGES = ("kubernetes-newer",)
_PROCESSES = ("kubelet", "kube-", "etcd")


class Kind(t.NamedTuple):
    """What is always true of a finding: how serious it is, what it is, why it matters and what to do.

    What is not acceptable would fail later in any case, halfway through.
    """

    level: str
    summary: str
    why: str
    remedy: str
    acceptable: bool = True


KINDS: t.Dict[str, Kind] = {
    "unreachable": Kind(
        ERROR,
        "The machine did not answer.",
        "A run that leaves a machine out halfway leaves a cluster halfway.",
        "See that it runs and that ansible_host is its address: `ansible HOST -m ansible.builtin.ping` with the same inventory. "
        "Or leave it out: --limit '!HOST'.",
        acceptable=False,
    ),
    "login-refused": Kind(
        ERROR,
        "The machine answers by SSH, and lets this user not in.",
        "Everything is done over SSH, as the user in ansible_user, with a key that the machine knows.",
        "Name the right ones in ansible_user and ansible_ssh_private_key_file, or put the key there: "
        "`ssh-copy-id -i KEY.pub USER@ADDRESS`.",
        acceptable=False,
    ),
    "host-key": Kind(
        ERROR,
        "The machine's SSH host key is not known here, or is another than the one that is.",
        "It may be another machine under the same address, or the same one newly installed.",
        "Look which it is. A new key is added by logging in once by hand; an old one removed by `ssh-keygen -R ADDRESS`.",
        acceptable=False,
    ),
    "become-password": Kind(
        ERROR,
        "The user may log in, and becomes root only with a password that is missing or wrong.",
        "What is done on a machine is done as root.",
        "Let the user become root without one: `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d. Or put it into a file, and give "
        "--become-password-file FILE, with kubestead behind two dashes.",
        acceptable=False,
    ),
    "become-missing": Kind(
        ERROR,
        "The user may log in, and the program by which it would become root is not there.",
        "What is done on a machine is done as root.",
        "Install sudo there, or log in as root and leave ansible_become out, or name another program in ansible_become_method.",
        acceptable=False,
    ),
    "not-examined": Kind(
        ERROR,
        "The machine answered, and the look at it failed.",
        "Nothing is known of this machine, so nothing can be promised. Most often its Python is missing or too old.",
        "Install Python 3.9 or newer, or name the right one in ansible_python_interpreter of this host.",
        acceptable=False,
    ),
    "unsupported-os": Kind(
        ERROR,
        "The operating system is of no family that the roles know.",
        "The roles install packages for the families of Debian and of Red Hat.",
        "Use Debian, Ubuntu, Raspberry Pi OS, or a relative of RHEL.",
        acceptable=False,
    ),
    "untested-os": Kind(
        WARNING,
        "The operating system's family is known, this release of it was not tested.",
        "Package repositories or kernel settings may differ there.",
        "Prefer a release from the list in docs/preflight.md.",
    ),
    "hypriotos": Kind(
        ERROR,
        "The operating system is HypriotOS, whose releases have ended.",
        "It is built on a Debian that gets no updates any more, and most of its images are 32-bit.",
        "Install the 64-bit image of Raspberry Pi OS Lite, its living successor, by the Raspberry Pi Imager.",
        acceptable=False,
    ),
    "architecture": Kind(
        ERROR,
        "The processor, or the system installed on it, is not 64-bit amd64 or arm64.",
        "Kubernetes' packages and images in the catalogue are made for these two.",
        "Install a 64-bit system. On a Raspberry Pi 3 or newer, take the 64-bit image of Raspberry Pi OS.",
    ),
    "python-old": Kind(
        ERROR,
        "The machine's Python is older than 3.9.",
        "The collection's modules run on the machine and need Python 3.9.",
        "Install a newer Python and name it in ansible_python_interpreter of this host.",
    ),
    "cpus": Kind(
        ERROR,
        "A control plane has fewer than 2 CPUs.",
        "etcd and the API server starve each other on one; kubeadm refuses such a machine.",
        "Give the machine a second CPU.",
    ),
    "memory": Kind(
        ERROR,
        "The machine has less than 2 GB of memory (1700 MB after what firmware and kernel keep).",
        "A control plane needs it for etcd and the API server, and kubeadm refuses with less. On a worker it is a warning: "
        "little is left for pods.",
        "Give the machine at least 2 GB.",
    ),
    "duplicate-mac": Kind(
        ERROR,
        "Two machines have one MAC address.",
        "They cut each other off the network in turns, and pod networks derive addresses from it.",
        "Give each machine its own, in the hypervisor or by MACAddress= in its network configuration.",
    ),
    "duplicate-product-uuid": Kind(
        ERROR,
        "Two machines have one product_uuid.",
        "Storage and cloud drivers tell nodes apart by it. It is the mark of a virtual machine copied whole.",
        "Let the hypervisor make a new one for each copy.",
    ),
    "duplicate-machine-id": Kind(
        ERROR,
        "Two machines have one /etc/machine-id.",
        "DHCP servers then give both one address, and journals and nodes are mistaken for each other.",
        "On all but one: `rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup`, then reboot.",
    ),
    "duplicate-hostname": Kind(
        ERROR,
        "Two machines have one host name, and cluster_set_hostname is off.",
        "Names then lead to the wrong machine.",
        "Name the machines apart, or set cluster_set_hostname: true.",
    ),
    "clock-apart": Kind(
        ERROR,
        "The machine's clock is more than 2 s (warning) or 60 s (error) off the others'.",
        "Certificates and tokens made on one machine are not valid yet, or no longer, on the other; etcd warns from 1 s.",
        "Let chrony or systemd-timesyncd set the clock: `timedatectl set-ntp true`, then look at `timedatectl`.",
    ),
    "clock-unsynchronized": Kind(
        WARNING,
        "No time service keeps the machine's clock right.",
        "Clocks that agree today drift apart within weeks.",
        "Install chrony or turn systemd-timesyncd on: `timedatectl set-ntp true`.",
    ),
    "swap-of-host": Kind(
        ERROR,
        "The node is a container, the machine under it has swap on, and cluster_swap is off.",
        "Turning swap off in the container would turn it off for the whole machine.",
        "Set cluster_swap: keep for this host.",
    ),
    "cgroup-v1": Kind(
        ERROR,
        "Control groups are of version 1.",
        "The kubelet refuses version 1 by default since Kubernetes 1.35, and support for it will end.",
        "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line, or use a newer system. "
        "Accepted, the kubelet is configured with failCgroupV1: false.",
    ),
    "cgroup-memory": Kind(
        ERROR,
        "The kernel does not account memory in control groups.",
        "The kubelet cannot limit pods and does not start.",
        "Add `cgroup_enable=memory cgroup_memory=1` to the kernel's command line and reboot. On a Raspberry Pi that is done for you, "
        "where /boot/firmware/cmdline.txt or /boot/cmdline.txt is there.",
    ),
    "kernel-modules": Kind(
        ERROR,
        "The kernel lacks modules that the chosen network needs.",
        "Without them pods do not reach each other or services do not work.",
        "Install the distribution's full kernel (linux-modules-extra-* on Ubuntu's cloud kernels), or choose another "
        "cluster_proxy_mode, cluster_flannel_backend or cluster_calico_encapsulation.",
    ),
    "resolver-loop": Kind(
        ERROR,
        "The name server in /etc/resolv.conf is the machine itself, and no other is known behind it.",
        "In the cluster's DNS the same address means the DNS pod: it forwards to itself, notices and dies (plugin/loop).",
        "Put real name servers into a file and name it: cluster_kubelet_config: {{resolvConf: /etc/resolv-upstream.conf}}.",
    ),
    "resolver-empty": Kind(
        ERROR,
        "/etc/resolv.conf names no server.",
        "The cluster's DNS takes its upstream from there and does not start without one.",
        "Name a server there, or a file that has one: cluster_kubelet_config: {{resolvConf: /etc/resolv-upstream.conf}}.",
    ),
    "port-in-use": Kind(
        ERROR,
        "A port that Kubernetes or its load balancer needs is taken by another program.",
        "The component that needs the port cannot start.",
        "Stop that program or move it to another port. `ss -ltnp` shows it.",
    ),
    "disk-small": Kind(
        ERROR,
        "Less than 5 GB are available under /var/lib. On a running node a warning.",
        "Images, logs and etcd grow there; a full disk stops the node.",
        "Free some room or mount a larger disk.",
    ),
    "disk-full": Kind(
        WARNING,
        "The disk of the images is fuller than the kubelet tolerates.",
        "The kubelet deletes images at once, also those that were just pulled, and may take the pause image first.",
        "Free some room, or raise cluster_kubelet_config: {{imageGCHighThresholdPercent: ...}}.",
    ),
    "disk-eviction": Kind(
        ERROR,
        "Less room is available than the kubelet's evictionHard asks for. On a running node a warning.",
        "The node reports disk pressure from the start, takes no pods and evicts those it has.",
        "Free some room, or set absolute values, as in "
        "cluster_kubelet_config: {{evictionHard: {{nodefs.available: 1Gi, imagefs.available: 1Gi}}}}.",
    ),
    "iptables-disagree": Kind(
        ERROR,
        "iptables, ip6tables and their save commands are not of one kind.",
        "Rules are then written into two tables of the kernel, of which each command shows one.",
        "Choose one kind: `update-alternatives --set iptables /usr/sbin/iptables-nft` and the same for ip6tables.",
    ),
    "ufw-active": Kind(
        WARNING,
        "The firewall ufw is active. It is left as it is.",
        "It drops what it was not told of, and forwarded packets too.",
        "Allow the ports named above between the nodes, and routed traffic of the pods: "
        "`ufw route allow from {pod_cidr}`.",
    ),
    "two-clusters": Kind(
        ERROR,
        "The control planes of this inventory have different certificate authorities.",
        "They belong to different clusters, and joining them would break one. Nothing is created anew over what exists.",
        "Take those that do not belong here out of the inventory, or reset them: `kubeadm reset --force` on each.",
        acceptable=False,
    ),
    "foreign-member": Kind(
        ERROR,
        "The machine is a node of another cluster.",
        "Joining it here would tear it out of there.",
        "If nothing on it is needed any more: `kubeadm reset --force` on it, then run this again. "
        "If the endpoint of this cluster moved, set cluster_endpoint back.",
        acceptable=False,
    ),
    "partial": Kind(
        ERROR,
        "The machine holds traces of kubeadm that make no working node, and they are not ours.",
        "They may be somebody's cluster that is just broken, so they are not touched.",
        "If nothing on it is needed any more: `kubeadm reset --force` on it, then run this again.",
        acceptable=False,
    ),
    "role-changed": Kind(
        ERROR,
        "The machine is a running node of one kind and stands in the inventory as the other.",
        "A worker does not become a control plane, nor the reverse, by joining again.",
        "Put the host into the group it belongs to; or drain it, delete its node, `kubeadm reset --force`, and run this again.",
    ),
    "node-renamed": Kind(
        ERROR,
        "The node is known in its cluster under another name than the host's in the inventory.",
        "Nodes are found by their inventory name: this one would be looked for in vain.",
        "Give the host that name in the inventory.",
    ),
    "api-unhealthy": Kind(
        WARNING,
        "The control plane's own API server does not say that it is ready.",
        "Another control plane is asked where there is one. If this is the only one, the run will stop at it.",
        "See `crictl ps -a` and `journalctl -u kubelet` on it.",
    ),
    "setting-fixed": Kind(
        ERROR,
        "The cluster was built with another value of a setting that it keeps for its life.",
        "Bringing the new value to nodes that run would break what was made with the old one.",
        f"{REBUILD} docs/settings.md says what can be changed.",
        acceptable=False,
    ),
    "kubernetes-newer": Kind(
        ERROR,
        "Kubernetes on the machine is newer than the version wanted. On a running node kubelet and API server count, elsewhere packages.",
        "Kubernetes cannot be downgraded. After an upgrade that was broken off, some nodes are newer than others.",
        "Raise cluster_kubernetes_version, and finish the upgrade with `kubestead upgrade`; or, on a machine that is no node yet, "
        "remove these packages.",
        acceptable=False,
    ),
    "kubernetes-older": Kind(
        ERROR,
        "A running node has an older Kubernetes than the version wanted.",
        "That is an upgrade, control planes first and node by node, which building a cluster does not do.",
        "Run `kubestead upgrade` (ansible-playbook kubestead.cluster.upgrade), then this again; or set cluster_kubernetes_version back.",
        acceptable=False,
    ),
    "address-missing": Kind(
        ERROR,
        "No interface of the machine has the address by which the cluster is to know the node.",
        "The kubelet and etcd bind to that address. Behind address translation it is the outer one that Ansible uses.",
        "Set cluster_node_address for this host to one of its own addresses.",
    ),
    "container-privileges": Kind(
        ERROR,
        "The node is a container without the capability SYS_ADMIN.",
        "A container runtime mounts file systems; without the capability no pod starts.",
        "Start the container with --privileged, or at least with --cap-add SYS_ADMIN.",
    ),
    "runtime-conflict": Kind(
        ERROR,
        "The installed container runtime comes from another source than cluster_containerd_source.",
        "The packages exclude each other: installing one removes the other, and stops what runs on it.",
        "Set cluster_containerd_source to the source that is there, or remove these packages.",
    ),
    "docker-present": Kind(
        WARNING,
        "Docker is installed and shares containerd with Kubernetes.",
        "containerd's configuration is replaced and containerd restarted. Docker's containers live through it; "
        "settings of your own in /etc/containerd/config.toml do not.",
        "Carry such settings over to cluster_containerd_config.",
    ),
    "docker-taken-over": Kind(
        WARNING,
        "Docker is installed already, and is to run Kubernetes' containers.",
        "/etc/docker/daemon.json is replaced and Docker restarted. Without settings of your own it then makes no network and no firewall "
        "rules, which Kubernetes has its own for, so that other containers reach nothing.",
        "Carry settings over to cluster_docker_config: `bridge: docker0` and `iptables: true` bring Docker's network back.",
    ),
    "virtual-ip-interface": Kind(
        ERROR,
        "The machine has no interface of the name in cluster_virtual_ip_interface.",
        "keepalived puts the virtual IP on that interface, and does not start without it.",
        "Name one of the machine's own, or none: then it is the one that has the host's address.",
    ),
    "virtual-ip-network": Kind(
        ERROR,
        "The virtual IP is no address of a machine in the network of the load balancer's interface.",
        "Machines of that network would not look for it there, and routers would not lead to it.",
        "Set cluster_virtual_ip to a free address of that network, or cluster_virtual_ip_interface to the interface that leads to it.",
    ),
    "virtual-ip-in-use": Kind(
        ERROR,
        "A machine has the virtual IP already, and not as a load balancer of this inventory.",
        "Two machines with one address cut each other off: clients reach now this one, now that one.",
        "Take the address off that machine, or choose a free one for cluster_virtual_ip.",
    ),
    "virtual-ip-unprobed": Kind(
        WARNING,
        "It could not be found out whether the virtual IP is free.",
        "A second machine with the address would be noticed only when connections fail.",
        "Settle what is named above, or make sure by hand: `arping -D -c 3 -I INTERFACE ADDRESS`.",
    ),
    "virtual-router-id-taken": Kind(
        ERROR,
        "Another machine in the load balancers' network sends VRRP messages with their virtual router id.",
        "Who hears both takes them for one group, of which only one machine may have the address.",
        "Set cluster_virtual_router_id: {free_id}, which nobody uses there.",
    ),
    "keepalived-foreign": Kind(
        ERROR,
        "The machine has a configuration of keepalived that is not Kubestead's.",
        "The load balancer's takes its place, and what it kept up would end.",
        "Let another machine be the load balancer, or remove /etc/keepalived/keepalived.conf. Accepted, the file is replaced.",
    ),
    "haproxy-foreign": Kind(
        ERROR,
        "The machine has a configuration of haproxy that is neither Kubestead's nor the one of its package.",
        "The load balancer's takes its place, and what it served would end.",
        "Let another machine be the load balancer, or remove /etc/haproxy/haproxy.cfg. Accepted, the file is replaced.",
    ),
}

FINDINGS: t.Dict[str, str] = {name: kind.summary for name, kind in KINDS.items()}
"""Every finding by name, each with one line that describes it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing found on one host."""

    host: str
    name: str
    level: str
    seen: str
    why: str
    remedy: str
    accepted: bool = False

    @property
    def label(self) -> str:
        """accepted, or else the level."""
        return "accepted" if self.accepted else self.level

    @property
    def stops(self) -> bool:
        """Whether the run ends because of it."""
        return self.level == ERROR and not self.accepted


_CONNECTION_PROBLEMS = (
    ("become-password", re.compile(r"(Missing|Incorrect) \S+ password|privilege escalation prompt")),
    ("become-missing", re.compile(r"\b(sudo|su|doas): (command )?not found")),
    ("host-key", re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")),
    ("login-refused", re.compile(r"Permission denied|Too many authentication failures|Invalid/incorrect (user|pass)")),
)


def connection_problem(said: str) -> t.Optional[str]:
    """The finding behind what Ansible said of a connection that it did not get, where its words tell more than that."""
    return next((name for name, pattern in _CONNECTION_PROBLEMS if pattern.search(said)), None)


Problems = t.Mapping[str, t.Tuple[str, str]]


def judge(
    states: t.Mapping[str, State],
    spec: t.Mapping[str, Spec],
    problems: t.Optional[Problems] = None,
    probes: t.Optional[t.Mapping[str, State]] = None,
) -> t.List[Finding]:
    """All findings of all hosts, in the hosts' order, errors before warnings.

    ``states`` has what node_state saw of each host that answered, with ``time.window``, the controller's clock before and
    after the look. ``spec`` has the variables of every host. ``problems`` tells of hosts that could not be looked at: the
    finding's name (as unreachable or not-examined) and what was seen. ``probes`` has what virtual_ip_probe told on load
    balancers, or its ``failure``.
    """
    order = list(spec)
    probed = probes or {}
    judged = {host: _Host(host, states[host], spec[host], probed.get(host)) for host in order if host in states}
    found = [_finding(host, name, seen) for host, (name, seen) in (problems or {}).items()]
    for host in judged.values():
        for check in _checks(host):
            found.extend(check(host))
    for compare in _GROUP_CHECKS:
        found.extend(compare(judged))
    found = [_before_reset(one, judged.get(one.host)) for one in found]
    found = [dataclasses.replace(one, accepted=_is_accepted(one, spec[one.host])) for one in found]
    return sorted(found, key=lambda one: (order.index(one.host), one.level != ERROR))


def _before_reset(finding: Finding, host: t.Optional[_Host]) -> Finding:
    """The finding, as a warning where a reset that follows takes away what it is about."""
    if host is None or finding.level != ERROR or not host.spec.get("before_reset"):
        return finding
    cleared = [*_GONE_WITH_CLUSTER, *(_GONE_WITH_PACKAGES if host.spec["reset_packages"] else ())]
    # The measure that the reset itself has: a machine that it refuses keeps the others' cluster from being taken off.
    if host.kubernetes["server"] in [f"https://{server}" for server in host.spec["servers"]]:
        cleared.append("foreign-member")
    if finding.name not in cleared:
        return finding
    seen = f"{finding.seen}; it goes with the old cluster"
    remedy = "Nothing: the reset, which comes next, takes it off."
    return dataclasses.replace(finding, level=WARNING, seen=seen, remedy=remedy)


def _is_accepted(finding: Finding, spec: Spec) -> bool:
    return KINDS[finding.name].acceptable and finding.name in (spec.get("cluster_preflight_ignore") or [])


def report(findings: t.Sequence[Finding], hosts: t.Sequence[str]) -> str:
    """The findings as one reads them: what was seen on each host, then what each kind means and what to do about it."""
    if not findings:
        return f"Nothing to object to on {_count(len(hosts), 'machine')}."
    stopping = sum(one.stops for one in findings)
    verdict = f"{stopping} must be settled first; nothing was changed" if stopping else "none stops the run"
    affected = len({one.host for one in findings})
    lines = [f"{_count(len(findings), 'finding')} on {affected} of {_count(len(hosts), 'machine')}: {verdict}."]
    for host in dict.fromkeys(one.host for one in findings):
        lines += ["", f"{host}:"]
        lines += [f"  {one.label:8} {one.name}: {one.seen}" for one in findings if one.host == host]
    explained = {one.name: one for one in findings if not one.accepted}
    explained.update({one.name: one for one in findings if one.stops})
    for name, one in explained.items():
        lines += ["", f"{name}: {KINDS[name].summary}", f"  why: {one.why}", f"  do:  {one.remedy}"]
        if not any(other.level == ERROR for other in findings if other.name == name):
            continue
        if not KINDS[name].acceptable:
            lines.append("  It cannot be accepted by cluster_preflight_ignore.")
        elif any(other.stops for other in findings if other.name == name):
            lines.append(f"  or accept it: cluster_preflight_ignore: [{name}]")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _finding(host: str, name: str, seen: str, level: t.Optional[str] = None, **fields: t.Any) -> Finding:
    kind = KINDS[name]
    remedy = kind.remedy.format(**fields)
    return Finding(host=host, name=name, level=level or kind.level, seen=seen, why=kind.why, remedy=remedy)


def virtual_ip_interface(host: str, state: State, spec: Spec) -> t.Optional[State]:
    """The interface for the virtual IP: the one named, else the one that has the host's address; None where it is not there."""
    named = spec["cluster_virtual_ip_interface"]
    address = node_address(host, {**spec, "ansible_facts": {"kubestead": state}})
    interfaces: t.Sequence[State] = state["interfaces"]
    if named:
        return next((one for one in interfaces if one["name"] == named), None)
    return next((one for one in interfaces if address in _addresses(one)), None)


def _addresses(interface: State) -> t.List[str]:
    return [address.partition("/")[0] for address in interface["addresses"]]


class _Host:
    """One machine that answered: what was seen of it and what is wanted of it."""

    def __init__(self, name: str, state: State, spec: Spec, probe: t.Optional[State] = None) -> None:
        self.name = name
        self.state = state
        self.spec = spec
        self.probe: State = probe or {}
        self.kubernetes: State = state["kubernetes"]
        self.node = bool(spec["node"])
        self.control_plane = bool(spec["control_plane"])
        self.load_balancer = bool(spec["load_balancer"])
        self.member = self.node and self.kubernetes["stage"] == "member"
        self.container: t.Optional[str] = state["container"]
        self.address = node_address(name, {**spec, "ansible_facts": {"kubestead": state}})

    def finding(self, name: str, seen: str, level: t.Optional[str] = None, **fields: t.Any) -> Finding:
        return _finding(self.name, name, seen, level, **fields)

    @property
    def addresses(self) -> t.List[str]:
        return [address for interface in self.state["interfaces"] for address in _addresses(interface)]

    @property
    def kubelet_config(self) -> State:
        config: State = self.spec.get("cluster_kubelet_config") or {}
        return config

    def interface(self) -> t.Optional[State]:
        """The interface that carries the node's address, else the default route's."""
        interfaces: t.Sequence[State] = self.state["interfaces"]
        for one in interfaces:
            if self.address in _addresses(one):
                return one
        return next((one for one in interfaces if one["name"] == self.state["default_interface"]), None)


_Found = t.Iterator[Finding]


def _operating_system(host: _Host) -> _Found:
    system = host.state["os"]
    if system["hypriot"]:
        yield host.finding("hypriotos", f"{system['pretty_name']} ({system['hypriot']})")
    elif system["family"] not in ("debian", "redhat"):
        yield host.finding("unsupported-os", f"{system['pretty_name']} (ID={system['id']})")
    else:
        tested = TESTED_SYSTEMS.get(system["id"], ())
        version = system["version_id"]
        if version not in tested and version.partition(".")[0] not in tested:
            yield host.finding("untested-os", f"{system['pretty_name']} (ID={system['id']}, VERSION_ID={version})")


def _architecture(host: _Host) -> _Found:
    system = host.state["os"]
    if system["architecture"] not in ARCHITECTURES or system["bits"] != 64:
        yield host.finding("architecture", f"architecture {system['architecture']}, {system['bits']}-bit programs")


def _python(host: _Host) -> _Found:
    version = host.state["python"]
    if _version(version)[:2] < MINIMUM_PYTHON:
        yield host.finding("python-old", f"Python {version}")


def _resources(host: _Host) -> _Found:
    cpus, memory = host.state["cpus"], host.state["memory_mb"]
    if host.control_plane and cpus < MINIMUM_CPUS:
        yield host.finding("cpus", f"{_count(cpus, 'CPU')}")
    if memory < MINIMUM_MEMORY_MB:
        yield host.finding("memory", f"{memory} MB", ERROR if host.control_plane else WARNING)


def _clock(host: _Host) -> _Found:
    # A container has the clock of the machine under it, where it can do nothing about it.
    if host.state["time"]["synchronized"] is False and not host.container:
        yield host.finding("clock-unsynchronized", "the kernel says that its clock is not synchronized")


def _kernel(host: _Host) -> _Found:
    cgroup = host.state["cgroup"]
    if cgroup["version"] == 1:
        yield host.finding("cgroup-v1", "/sys/fs/cgroup is a version 1 hierarchy")
    if not cgroup["memory"] and not (host.state["raspberry_pi"] or {}).get("command_line"):
        yield host.finding("cgroup-memory", "the memory controller is not enabled")
    needed = ["br_netfilter", "overlay"]
    needed += _network_modules(host.spec)
    needed += {"ipvs": ["ip_vs"], "nftables": ["nf_tables"]}.get(host.spec["cluster_proxy_mode"], [])
    modules = host.state["modules"]
    missing = [name for name in needed if modules.get(name) == "missing"]
    if host.spec["cluster_proxy_mode"] == "iptables" and modules["nf_tables"] == modules["ip_tables"] == "missing":
        missing.append("nf_tables (or ip_tables)")
    if missing:
        yield host.finding("kernel-modules", f"neither loaded, built in nor loadable: {', '.join(missing)}")


def _network_modules(spec: t.Mapping[str, t.Any]) -> t.List[str]:
    setting = {"flannel": "cluster_flannel_backend", "calico": "cluster_calico_encapsulation"}.get(
        spec["cluster_network"]
    )
    tunnel = str(spec[setting]).split("-", maxsplit=1)[0] if setting else ""
    return [tunnel] if tunnel in ("vxlan", "ipip") else []


def _swap(host: _Host) -> _Found:
    active = host.state["swap"]["active"]
    if host.container and active and host.spec["cluster_swap"] == "off":
        yield host.finding("swap-of-host", f"swap on {', '.join(active)}")


def _resolver(host: _Host) -> _Found:
    resolver = host.state["resolver"]
    if host.kubelet_config.get("resolvConf"):
        return
    if resolver["loopback"] and not resolver["upstream"]:
        yield host.finding("resolver-loop", f"{resolver['path']} names {', '.join(resolver['servers'])}")
    elif not resolver["servers"]:
        yield host.finding("resolver-empty", f"{resolver['path']} has no nameserver line")


def _own_ports(host: _Host) -> t.Dict[str, str]:
    ports: t.Dict[str, str] = {}
    if host.node:
        ports.update({"10250": "kubelet", "10256": "kube-proxy"})
    if host.control_plane:
        # The kernel keeps 15 characters of a process's name.
        ports.update({str(host.spec["cluster_api_port"]): "kube-apiserver", "10257": "kube-controller"})
        ports["10259"] = "kube-scheduler"
        ports.update({} if host.spec["external_etcd"] else {"2379": "etcd", "2380": "etcd"})
    if host.load_balancer:
        ports[str(host.spec["load_balancer_port"])] = "haproxy"
    return ports


def _ports(host: _Host) -> _Found:
    for port, owner in _own_ports(host).items():
        process = host.state["ports"].get(port)
        if process is None or _is_rightful(host, process, owner):
            continue
        who = "an unknown process" if process == "?" else process
        yield host.finding("port-in-use", f"TCP port {port} (for {owner}) is held by {who}")


def _is_rightful(host: _Host, process: str, owner: str) -> bool:
    if owner == "haproxy":
        # One that serves something else is found by its configuration.
        return process == owner or (process == "?" and host.probe.get("haproxy") == "ours")
    ours = host.kubernetes["stage"] != "absent"
    if host.spec.get("before_reset") and (
        (ours and process.startswith(_PROCESSES)) or (process == "haproxy" and host.probe.get("haproxy") == "ours")
    ):
        return True  # a port that the new cluster uses otherwise
    return ours and (process == "?" or process.startswith(owner))


def _disks(host: _Host) -> _Found:
    serious = WARNING if host.member else ERROR
    mounts: t.Dict[str, State] = {}
    for path in (_images_folder(host), "/var/lib/kubelet", *(["/var/lib/etcd"] if host.control_plane else [])):
        disk = host.state["disks"].get(path) or host.state["disks"].get("/var/lib")
        if disk:
            mounts.setdefault(disk.get("mount", path), {**disk, "path": path})
    for disk in mounts.values():
        if disk["available_mb"] < MINIMUM_DISK_MB:
            yield host.finding("disk-small", f"{_room(disk)} under {disk['path']}", serious)
    yield from _eviction(host, serious)


def _images_folder(host: _Host) -> str:
    return "/var/lib/docker" if host.spec["cluster_container_runtime"] == "docker" else "/var/lib/containerd"


def _eviction(host: _Host, serious: str) -> _Found:
    disks = host.state["disks"]
    images = disks.get(_images_folder(host)) or disks.get("/var/lib")
    pods = disks.get("/var/lib/kubelet") or disks.get("/var/lib")
    high = host.kubelet_config.get("imageGCHighThresholdPercent", 85)
    if images and high < 100 and _used(images) >= high:
        yield host.finding(
            "disk-full", f"{_used(images):.0f} % used, {_room(images)}; images are collected from {high} %"
        )
    # Where evictionHard is set at all, signals it leaves out are not watched.
    limits = host.kubelet_config.get("evictionHard") or _KUBELET_EVICTION
    for signal, disk in (("nodefs.available", pods), ("imagefs.available", images)):
        limit = limits.get(signal)
        if disk and limit is not None and disk["available_mb"] < _limit_mb(str(limit), disk["size_mb"]):
            yield host.finding("disk-eviction", f"{_room(disk)}; {signal} asks for {limit}", serious)


def _room(disk: State) -> str:
    return f"{disk['available_mb'] / 1024:.1f} of {disk['size_mb'] / 1024:.1f} GB available"


def _used(disk: State) -> float:
    return 100.0 - 100.0 * disk["available_mb"] / disk["size_mb"] if disk["size_mb"] else 0.0


def _limit_mb(limit: str, size_mb: float) -> float:
    """A kubelet threshold in MB; what is no threshold asks for nothing, and the kubelet will say so itself."""
    if limit.endswith("%"):
        return size_mb * float(limit[:-1]) / 100.0
    match = _QUANTITY.match(limit)
    return float(match.group(1)) * _UNITS[match.group(2)] / 2**20 if match else 0.0


def _iptables(host: _Host) -> _Found:
    if not host.state["iptables"]["agree"]:
        yield host.finding(
            "iptables-disagree", f"iptables is of the {host.state['iptables']['variant']} kind, another command is not"
        )


def _ufw(host: _Host) -> _Found:
    if host.state["firewall"]["ufw"] == "active":
        ports = [f"{port}/tcp" for port in _own_ports(host)]
        if host.node:
            ports.append(f"{host.spec['cluster_node_port_range']} (tcp, udp)")
            ports += host.spec["network_ports"]
        if host.load_balancer:
            ports.append("VRRP (protocol 112) from the other load balancers")
        seen = f"ufw is active; the machine needs {', '.join(ports)}"
        yield host.finding("ufw-active", seen, pod_cidr=host.spec["cluster_pod_cidr"])


def _membership(host: _Host) -> _Found:
    kubernetes = host.kubernetes
    if kubernetes["stage"] == "partial":
        traces = ", ".join(kubernetes.get("traces") or []) or "files under /etc/kubernetes"
        yield host.finding("partial", f"found {traces}")
    if not host.member:
        return
    wanted = "control_plane" if host.control_plane else "worker"
    if kubernetes["role"] not in (None, wanted):
        yield host.finding("role-changed", f"runs as {kubernetes['role']}, stands in the inventory as {wanted}")
    if kubernetes["node_name"] not in (None, host.name):
        yield host.finding("node-renamed", f"its cluster knows it as {kubernetes['node_name']}")
    if kubernetes["api_healthy"] is False:
        yield host.finding("api-unhealthy", "GET /readyz on the machine itself was not answered with 200")


def _versions(host: _Host) -> _Found:
    wanted = host.spec["kubernetes_version"]
    packages = {name: host.state["packages"].get(name) for name in ("kubeadm", "kubelet", "kubectl")}
    running = {
        "kubelet": host.kubernetes["kubelet_version"] or packages["kubelet"],
        "API server": host.kubernetes["api_server_version"],
    }
    # An upgrade that was given up may have left a newer kubeadm on a running node, where the packages' role puts it right.
    found = {name: version for name, version in (running if host.member else packages).items() if version}
    newer = [f"{name} {version}" for name, version in found.items() if _version(version) > _version(wanted)]
    older = [f"{name} {version}" for name, version in found.items() if _version(version) < _version(wanted)]
    if newer:
        yield host.finding("kubernetes-newer", f"{', '.join(newer)} found, {wanted} wanted")
    elif older and host.member:
        yield host.finding("kubernetes-older", f"the node runs {', '.join(older)}, {wanted} is wanted")


def _version(text: str) -> t.Tuple[int, ...]:
    """The numbers of a version, without a package's epoch and revision."""
    upstream = text.rpartition(":")[2].lstrip("v").partition("-")[0]
    return tuple(int(part) for part in re.findall(r"\d+", upstream)[:3])


def _address(host: _Host) -> _Found:
    if host.address not in host.addresses:
        known = ", ".join(host.addresses) or "none"
        yield host.finding("address-missing", f"the machine's address would be {host.address}; the machine has {known}")


def _runtime(host: _Host) -> _Found:
    source = host.spec["cluster_containerd_source"]
    others = {"docker": ("containerd", "docker.io"), "distribution": ("containerd.io", "docker-ce")}[source]
    packages = host.state["packages"]
    clash = [f"{name} {packages[name]}" for name in others if packages.get(name)]
    if clash:
        yield host.finding("runtime-conflict", f"{', '.join(clash)} installed, cluster_containerd_source is {source}")
    elif packages.get("docker-ce") or packages.get("docker.io"):
        seen = f"Docker {packages.get('docker-ce') or packages.get('docker.io')} is installed"
        if host.spec["cluster_container_runtime"] != "docker":
            yield host.finding("docker-present", seen)
        elif not host.state["runtime"]["cri_dockerd"]:
            yield host.finding("docker-taken-over", seen)
    if host.container and not host.state["capabilities"]["sys_admin"]:
        yield host.finding(
            "container-privileges", f"a {host.container} container without SYS_ADMIN in its bounding set"
        )


def _virtual_ip(host: _Host) -> _Found:
    address = host.spec["cluster_virtual_ip"]
    interface = virtual_ip_interface(host.name, host.state, host.spec)
    if not address:
        return
    if interface is not None:
        networks = [network for network in _networks(interface) if network.ip != ipaddress.ip_address(address)]
        if not any(_is_for_a_machine(address, network) for network in networks):
            known = ", ".join(map(str, networks)) or "no IPv4 address"
            yield host.finding(
                "virtual-ip-network", f"{address} is cluster_virtual_ip; {interface['name']} has {known}"
            )
    elif host.spec["cluster_virtual_ip_interface"]:
        yield host.finding("virtual-ip-interface", _missing_interface(host, address))


def _networks(interface: State) -> t.List[ipaddress.IPv4Interface]:
    found = [ipaddress.ip_interface(address) for address in interface["addresses"]]
    return [one for one in found if isinstance(one, ipaddress.IPv4Interface)]


def _is_for_a_machine(address: str, interface: ipaddress.IPv4Interface) -> bool:
    one, network = ipaddress.IPv4Address(address), interface.network
    ends = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
    return one in network and one not in ends


def _missing_interface(host: _Host, address: str) -> str:
    named, interfaces = host.spec["cluster_virtual_ip_interface"], host.state["interfaces"]
    names = [one["name"] for one in interfaces]
    fitting = [one["name"] for one in interfaces if any(_is_for_a_machine(address, net) for net in _networks(one))]
    meant = next(iter(fitting or difflib.get_close_matches(named, names, 1)), None)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"there is no {named}, the machine has {', '.join(names) or 'none'}{hint}"


def _services(host: _Host) -> _Found:
    for program, path in (("keepalived", "/etc/keepalived/keepalived.conf"), ("haproxy", "/etc/haproxy/haproxy.cfg")):
        if host.probe.get(program) == "foreign":
            yield host.finding(f"{program}-foreign", f"{path} was not written by Kubestead")
    if host.probe.get("failure"):
        yield host.finding("virtual-ip-unprobed", host.probe["failure"])


_Check = t.Callable[[_Host], _Found]
_MACHINE_CHECKS: t.Sequence[_Check] = (_operating_system, _python, _clock, _ports, _ufw, _address)
_NODE_CHECKS: t.Sequence[_Check] = (
    *(_architecture, _resources, _kernel, _swap, _resolver, _disks),
    *(_iptables, _membership, _versions, _runtime),
)
_LOAD_BALANCER_CHECKS: t.Sequence[_Check] = (_virtual_ip, _services)


def _checks(host: _Host) -> t.Iterator[_Check]:
    yield from _MACHINE_CHECKS
    yield from _NODE_CHECKS if host.node else ()
    yield from _LOAD_BALANCER_CHECKS if host.load_balancer else ()


_Hosts = t.Mapping[str, _Host]


def _identities(host: _Host) -> t.Iterator[t.Tuple[str, t.Optional[str]]]:
    interface = host.interface()
    mac = interface["mac"] if interface else None
    yield "duplicate-mac", None if mac == "00:00:00:00:00:00" else mac
    uuid = host.state["product_uuid"]
    # A container sees the number of the machine under it, and so do its neighbours.
    yield "duplicate-product-uuid", None if host.container or _PLACEHOLDER_UUID.match(uuid or "0") else uuid
    yield "duplicate-machine-id", host.state["machine_id"]
    yield "duplicate-hostname", None if host.spec["cluster_set_hostname"] else host.state["hostname"]


def _duplicates(hosts: _Hosts) -> _Found:
    holders: t.Dict[t.Tuple[str, str], t.List[str]] = collections.defaultdict(list)
    for host in hosts.values():
        for name, value in _identities(host):
            if value:
                holders[name, value].append(host.name)
    for (name, value), names in holders.items():
        for holder in names if len(names) > 1 else []:
            others = ", ".join(other for other in names if other != holder)
            yield _finding(holder, name, f"{value}, as {others} has")


def _clocks(hosts: _Hosts) -> _Found:
    """Compare clocks through the controller's: each machine's offset lies between two bounds, since a look takes time."""
    bounds: t.Dict[str, t.Tuple[float, float]] = {}
    for host in hosts.values():
        window = host.state["time"].get("window")
        if window:
            bounds[host.name] = (host.state["time"]["epoch"] - window[1], host.state["time"]["epoch"] - window[0])
    if len(bounds) < 2:
        return
    middle = {name: (low + high) / 2 for name, (low, high) in bounds.items()}
    ranked = sorted(middle, key=lambda name: middle[name])
    # Of two clocks in the middle, the one nearer to the controller's is taken for right.
    reference = min(ranked[(len(ranked) - 1) // 2 : len(ranked) // 2 + 1], key=lambda name: abs(middle[name]))
    low, high = bounds[reference]
    for name, (lowest, highest) in bounds.items():
        apart = max(lowest - high, low - highest)
        if apart > CLOCK_WARNING_SECONDS:
            way = "ahead of" if lowest > high else "behind"
            level = ERROR if apart > CLOCK_ERROR_SECONDS else WARNING
            yield _finding(name, "clock-apart", f"at least {apart:.1f} s {way} {reference}", level)


def _fixed_settings(hosts: _Hosts) -> _Found:
    """What the inventory wants otherwise than the cluster was built with; each of them once, on the first host that shows it."""
    told: t.Set[str] = set()
    for host in hosts.values():
        wanted = host.spec["settings"]
        found = host.kubernetes["settings"] if host.member else {}
        lines = {name: refusal(name, found[name], wanted[name]) for name in differing(found, wanted)}
        if host.member and host.control_plane and host.kubernetes["external_etcd"] != bool(host.spec["external_etcd"]):
            places = {True: "an etcd of your own", False: "etcd on the control planes"}
            both = (host.kubernetes["external_etcd"], bool(host.spec["external_etcd"]))
            lines["cluster_external_etcd"] = refusal("cluster_external_etcd", *(places[one] for one in both))
        for line in lines.values():
            if line not in told:
                told.add(line)
                yield host.finding("setting-fixed", line)


def _authorities(hosts: _Hosts) -> t.Dict[str, t.List[str]]:
    found: t.Dict[str, t.List[str]] = collections.defaultdict(list)
    for host in hosts.values():
        if host.control_plane and host.kubernetes["ca_hash"]:
            found[host.kubernetes["ca_hash"]].append(host.name)
    return found


def _two_clusters(hosts: _Hosts) -> _Found:
    authorities = _authorities(hosts)
    if len(authorities) < 2:
        return
    for digest, names in authorities.items():
        for name in names:
            others = ", ".join(other for rest in authorities.values() if rest is not names for other in rest)
            yield _finding(name, "two-clusters", f"{digest}; {others}: another")


def _foreign_members(hosts: _Hosts) -> _Found:
    authorities = _authorities(hosts)
    looked_at_all = all(name in hosts for host in hosts.values() for name in host.spec["control_planes"])
    for host in hosts.values():
        if host.control_plane or not host.member:
            continue
        seen = _foreign(host, authorities, looked_at_all)
        if seen:
            yield host.finding("foreign-member", seen)


def _foreign(host: _Host, authorities: t.Mapping[str, t.Sequence[str]], looked_at_all: bool) -> t.Optional[str]:
    """What shows that a worker belongs elsewhere, None where nothing does."""
    server, digest = host.kubernetes["server"], host.kubernetes["ca_hash"]
    if authorities and digest:
        return (
            None
            if digest in authorities
            else f"its certificate authority is {digest} (server {server}), the control planes' is another"
        )
    if looked_at_all and not authorities:
        return f"it belongs to the cluster at {server}, and no control plane of this inventory runs one"
    known = host.spec["endpoint_hosts"]
    if server and _host_of(server) not in known:
        return f"its API server is {server}, this cluster's is {known[0]}"
    return None


def _host_of(server: str) -> str:
    return re.sub(r"^https?://|:\d+/?$|/$", "", server).strip("[]")


def _left_out(hosts: _Hosts) -> str:
    """Load balancers that were not looked at, for instance because of --limit: what is heard may come from them."""
    named = dict.fromkeys(name for host in hosts.values() for name in host.spec["load_balancers"])
    return ", ".join(name for name in named if name not in hosts)


def _virtual_ip_in_use(hosts: _Hosts) -> _Found:
    left_out = _left_out(hosts)
    having = [host for host in hosts.values() if host.spec["cluster_virtual_ip"] in host.addresses]
    for host in having:
        # What a keepalived of others does with it is another finding.
        if not host.load_balancer or host.probe.get("keepalived") in ("absent", "default"):
            seen = f"an interface of this machine has {host.spec['cluster_virtual_ip']}, and not by keepalived"
            yield host.finding("virtual-ip-in-use", seen)
    # A load balancer may have it, and what another host has was told above.
    known = {interface["mac"] for host in having for interface in host.state["interfaces"]}
    owners = {one["mac"]: f" of {host.name}" for host in hosts.values() for one in host.state["interfaces"]}
    for host in hosts.values():
        for mac in host.probe.get("answers") or ():
            if mac not in known:
                seen = f"{mac}{owners.get(mac, '')} answers for {host.spec['cluster_virtual_ip']}"
                yield _heard(host, "virtual-ip-in-use", seen, left_out)


def _heard(host: _Host, name: str, seen: str, left_out: str, **fields: t.Any) -> Finding:
    if left_out:
        return host.finding(name, f"{seen}; this may be a load balancer left out here ({left_out})", WARNING, **fields)
    return host.finding(name, seen, **fields)


def _virtual_router_id(hosts: _Hosts) -> _Found:
    left_out = _left_out(hosts)
    ours = {address for host in hosts.values() if host.load_balancer for address in host.addresses}
    taken = {router["virtual_router_id"] for host in hosts.values() for router in host.probe.get("routers") or ()}
    for host in hosts.values():
        own = host.spec["virtual_router_id"]
        for router in host.probe.get("routers") or ():
            source = router["source"]
            if router["virtual_router_id"] == own and source not in ours | set(host.spec["load_balancer_addresses"]):
                shared = ", ".join(router["addresses"])
                seen = f"{source} uses id {own}" + (f" for {shared}" if shared else "")
                yield _heard(host, "virtual-router-id-taken", seen, left_out, free_id=_free_id(own, taken))


def _free_id(own: int, taken: t.Collection[int]) -> int:
    """The next virtual router id that was not heard."""
    others = [*range(own + 1, 256), *range(1, own)]
    return next((number for number in others if number not in taken), own)


_GROUP_CHECKS: t.Sequence[t.Callable[[_Hosts], _Found]] = (
    *(_duplicates, _clocks, _two_clusters, _foreign_members, _fixed_settings),
    *(_virtual_ip_in_use, _virtual_router_id),
)
