# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at a machine: all that the roles decide upon, read without changing anything."""

from __future__ import annotations

import ctypes
import fnmatch
import glob
import hashlib
import ipaddress
import json
import os
import platform
import re
import shutil
import socket
import struct
import sys
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState, read_text

PACKAGES = (
    *("kubeadm", "kubelet", "kubectl", "cri-tools", "kubernetes-cni"),
    *("containerd.io", "containerd", "runc", "docker-ce", "docker.io", "cri-dockerd", "podman"),
    *("conntrack", "socat", "ethtool", "iptables", "nftables", "ipset", "haproxy", "keepalived"),
    *("chrony", "systemd-timesyncd", "ntpsec", "firewalld", "ufw"),
)
MODULES = ("br_netfilter", "overlay", "nf_tables", "ip_tables", "ip_vs", "vxlan", "ipip")
SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv6.conf.all.forwarding",
)
UNITS = ("containerd", "docker", "cri-docker", "kubelet", "firewalld", "ufw")
DISKS = ("/", "/var/lib", "/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/etcd")
DIGESTS = (
    *("/etc/containerd/config.toml", "/etc/crictl.yaml", "/etc/default/kubelet", "/etc/sysconfig/kubelet"),
    *("/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env", "/var/lib/kubelet/instance-config.yaml"),
    *("/etc/kubernetes/manifests/*.yaml", "/etc/kubernetes/encryption/configuration.yaml"),
)
_SKIPPED_INTERFACES = (
    "lo",
    "cni*",
    "flannel*",
    "veth*",
    "cali*",
    "docker*",
    "br-" + 12 * "[0-9a-f]",  # Docker's, and not br-lan
    "kube-*",
    "vxlan.*",
    "tunl*",
    "nodelocaldns",
)
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "armv8l": "armhf",
    "armv6l": "armel",
    "i686": "i386",
    "ppc64le": "ppc64el",
}
_MODULE_TRACES = {
    "br_netfilter": ("/proc/sys/net/bridge",),
    "ip_tables": ("/proc/net/ip_tables_names",),
    "ip_vs": ("/proc/net/ip_vs",),
}
COMMAND_LINES = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt")
_CAPABILITIES = {"sys_admin": 21, "sys_resource": 24}
_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+\S*)")


class _Run(t.Protocol):
    """Runs a program found in PATH; gives its standard output, None where it is missing or fails."""

    def __call__(self, *command: str) -> t.Optional[str]: ...


class NodeState:
    """The state of this machine; root is the directory that stands for /."""

    def __init__(self, run: _Run, root: str = "/") -> None:
        self.run = run
        self.root = root
        self.kubernetes_state = KubernetesState(root)

    def gather(self) -> dict[str, t.Any]:
        """All facts; what cannot be found out is None or empty, and nothing raises."""
        units = self.units()
        interfaces = self.interfaces()
        default = self.default_interface()
        return {
            "hostname": socket.gethostname(),
            "machine_id": (self._read("/etc/machine-id") or "").strip() or None,
            "product_uuid": (self._read("/sys/class/dmi/id/product_uuid") or "").strip().lower() or None,
            "interfaces": interfaces,
            "default_interface": default.get("dev"),
            "default_address": default_address(default, interfaces),
            "os": self.operating_system(),
            "raspberry_pi": self.raspberry_pi(),
            "cpus": len(os.sched_getaffinity(0)),
            "memory_mb": self.memory_mb(),
            "python": platform.python_version(),
            "time": {"epoch": time.time(), "synchronized": clock_synchronized()},
            "swap": self.swap(),
            "cgroup": self.cgroup(),
            "capabilities": self.capabilities(),
            "container": self.container(),
            "modules": self.modules(),
            "sysctl": {name: self.sysctl(name) for name in SYSCTLS},
            "selinux": self.selinux(),
            "firewall": {name: unit_state(units.get(name, {})) for name in ("firewalld", "ufw")},
            "resolver": self.resolver(),
            "iptables": self.iptables(),
            "ports": self.ports(),
            "disks": {path: disk for path in DISKS for disk in [self.disk(path)] if disk},
            "digests": self.digests(),
            **self.packages(),
            "runtime": self.runtime(units),
            "kubernetes": self.kubernetes(units),
        }

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _read(self, path: str) -> t.Optional[str]:
        return read_text(self._path(path))

    def _exists(self, path: str) -> bool:
        return os.path.exists(self._path(path))

    def units(self) -> dict[str, dict[str, str]]:
        """Properties of the systemd units that matter here."""
        names = [f"{name}.service" for name in UNITS]
        return parse_units(
            self.run("systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState", *names) or ""
        )

    def interfaces(self) -> list[dict[str, t.Any]]:
        """The machine's own network interfaces, without those that containers and pod networks make."""
        return parse_interfaces(self.run("ip", "-j", "address", "show") or "[]")

    def default_interface(self) -> dict[str, t.Any]:
        """The route by which the machine reaches the world."""
        for family in ("-4", "-6"):
            routes = json_or_empty(self.run("ip", "-j", family, "route", "show", "default"))
            if routes and isinstance(routes[0], dict):
                return min(routes, key=lambda route: int(route.get("metric", 0)))
        return {}

    def operating_system(self) -> dict[str, t.Any]:
        """Which system this is, with the architecture as Debian names it."""
        release = parse_os_release(self._read("/etc/os-release") or self._read("/usr/lib/os-release") or "")
        family = "other"
        lineage = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
        if lineage & {"debian", "ubuntu", "raspbian"}:
            family = "debian"
        elif lineage & {"rhel", "fedora", "centos"}:
            family = "redhat"
        machine = platform.machine()
        return {
            "id": release.get("ID", "unknown"),
            "version_id": release.get("VERSION_ID", ""),
            "codename": release.get("VERSION_CODENAME", ""),
            "family": family,
            "pretty_name": release.get("PRETTY_NAME", "unknown"),
            "hypriot": release.get("HYPRIOT_OS", ""),
            "kernel": platform.release(),
            "architecture": _ARCHITECTURES.get(machine, machine),
            "bits": 64 if sys.maxsize > 2**32 else 32,
        }

    def raspberry_pi(self) -> t.Optional[dict[str, str]]:
        """The board's model, and the file that its firmware hands to the kernel as the command line; None on other machines."""
        model = (self._read("/sys/firmware/devicetree/base/model") or "").strip("\0\n")
        if not model.startswith("Raspberry Pi"):
            return None
        # Where the newer place is there, an older one only tells of it.
        return {"model": model, "command_line": next(filter(self._exists, COMMAND_LINES), "")}

    def memory_mb(self) -> int:
        """Main memory, or the control group's limit where that is less."""
        match = re.search(r"^MemTotal:\s+(\d+) kB", self._read("/proc/meminfo") or "", re.MULTILINE)
        total = int(match.group(1)) // 1024 if match else 0
        limit = (self._read("/sys/fs/cgroup/memory.max") or "").strip()
        return min(total, int(limit) // 2**20) if limit.isdigit() else total

    def swap(self) -> dict[str, t.Any]:
        """Swap in use now, and whether /etc/fstab or Raspberry Pi OS's rpi-swap brings it back at boot."""
        active = [line.split()[0] for line in (self._read("/proc/swaps") or "").splitlines()[1:] if line.strip()]
        return {
            "active": active,
            "fstab": fstab_has_swap(self._read("/etc/fstab") or ""),
            "rpi_swap": self._exists("/usr/lib/systemd/system-generators/rpi-swap-generator"),
        }

    def cgroup(self) -> dict[str, t.Any]:
        """The version of control groups that services live in, and whether memory can be limited."""
        controllers = self._read("/sys/fs/cgroup/cgroup.controllers")
        if controllers is not None:
            return {"version": 2, "memory": "memory" in controllers.split()}
        rows = [line.split() for line in (self._read("/proc/cgroups") or "").splitlines()]
        return {"version": 1, "memory": any(row[0] == "memory" and row[-1] == "1" for row in rows if len(row) == 4)}

    def capabilities(self) -> dict[str, bool]:
        """Whether services can have these capabilities: the bounding set of the first process."""
        status = self._read("/proc/1/status") or self._read("/proc/self/status") or ""
        match = re.search(r"^CapBnd:\s*([0-9a-f]+)", status, re.MULTILINE)
        bounding = int(match.group(1), 16) if match else 0
        return {name: bool(bounding >> bit & 1) for name, bit in _CAPABILITIES.items()}

    def container(self) -> t.Optional[str]:
        """The kind of container that the machine is, None for a real or virtual one."""
        named = (self._read("/run/systemd/container") or "").strip()
        match = re.search(r"(?:^|\0)container=([^\0]+)", self._read("/proc/1/environ") or "")
        if match and not named:
            named = match.group(1)
        if not named and self._exists("/.dockerenv"):
            named = "docker"
        return named or None

    def modules(self) -> dict[str, str]:
        """For each kernel module, available where it is loaded, built in or loadable, else missing."""
        return {name: "available" if self._has_module(name) else "missing" for name in MODULES}

    def _has_module(self, name: str) -> bool:
        if self._exists(f"/sys/module/{name}") or any(self._exists(path) for path in _MODULE_TRACES.get(name, ())):
            return True
        if name == "overlay" and "\toverlay\n" in (self._read("/proc/filesystems") or ""):
            return True
        if name == "nf_tables" and kernel_has_nf_tables():
            return True
        built_in = self._read(f"/lib/modules/{platform.release()}/modules.builtin") or ""
        return f"/{name}.ko" in built_in or self.run("modprobe", "-n", "-q", name) is not None

    def sysctl(self, name: str) -> t.Optional[str]:
        """A kernel parameter, None where the kernel does not have it."""
        value = self._read("/proc/sys/" + name.replace(".", "/"))
        return None if value is None else value.strip()

    def selinux(self) -> str:
        """disabled, permissive or enforcing."""
        enforce = self._read("/sys/fs/selinux/enforce")
        if enforce is None:
            return "disabled"
        return "enforcing" if enforce.strip() == "1" else "permissive"

    def resolver(self) -> dict[str, t.Any]:
        """Name servers; upstream is a file with real ones where the usual file points at a resolver of this machine."""
        path, upstream = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
        servers = name_servers(self._read(path) or "")
        behind = name_servers(self._read(upstream) or "")
        usable = bool(behind) and not any(is_loopback(server) for server in behind)
        return {
            "path": path,
            "servers": servers,
            "loopback": any(is_loopback(server) for server in servers),
            "upstream": upstream if usable else None,
        }

    def iptables(self) -> dict[str, t.Any]:
        """Which iptables is in use, nft or legacy, and whether all its commands are of the same kind."""
        variants = [
            self._iptables_variant(name) for name in ("iptables", "ip6tables", "iptables-save", "ip6tables-save")
        ]
        known = {variant for variant in variants if variant}
        return {"variant": variants[0], "agree": len(known) <= 1}

    def _iptables_variant(self, command: str) -> t.Optional[str]:
        path = shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not path:
            return None
        name = os.path.basename(os.path.realpath(path))
        if "legacy" in name:
            return "legacy"
        if "nft" in name:
            return "nft"
        said = self.run(command, "-V") or ""
        return "nft" if "nf_tables" in said else "legacy"

    def ports(self) -> dict[str, str]:
        """TCP ports that something listens on, and the name of the process."""
        sockets: dict[str, str] = {}
        for table in ("tcp", "tcp6"):
            sockets.update(listening_sockets(self._read(f"/proc/net/{table}") or ""))
        owners = self._socket_owners(set(sockets))
        found: dict[str, str] = {}
        for inode, port in sockets.items():
            if found.get(port, "?") == "?":
                found[port] = owners.get(inode, "?")
        return {port: found[port] for port in sorted(found, key=int)}

    def _socket_owners(self, inodes: set[str]) -> dict[str, str]:
        owners: dict[str, str] = {}
        for directory in glob.glob(self._path("/proc/[0-9]*")):
            try:
                links = [os.readlink(entry.path) for entry in os.scandir(os.path.join(directory, "fd"))]
            except OSError:
                continue
            held = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")} & inodes
            if held:
                name = (read_text(os.path.join(directory, "comm")) or "?").strip()
                owners.update(dict.fromkeys(held, name))
        return owners

    def disk(self, path: str) -> t.Optional[dict[str, t.Any]]:
        """Room on the file system that holds, or would hold, this path."""
        existing = self._path(path)
        while not os.path.exists(existing) and existing != "/":
            existing = os.path.dirname(existing)
        try:
            room = os.statvfs(existing)
        except OSError:
            return None
        mount = existing
        while not os.path.ismount(mount):
            mount = os.path.dirname(mount)
        size, available = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
        return {
            "mount": mount,
            "size_mb": size // 2**20,
            "available_mb": available // 2**20,
            "used_percent": round(100 - 100 * available / size) if size else 0,
        }

    def digests(self) -> dict[str, str]:
        """sha256 of the configuration files that are there."""
        found = {}
        for pattern in DIGESTS:
            for path in sorted(glob.glob(self._path(pattern))):
                digest = file_digest(path)
                if digest:
                    found["/" + os.path.relpath(path, self.root)] = digest
        return found

    def packages(self) -> dict[str, t.Any]:
        """Installed versions of the packages that matter, and those that are held back from upgrades."""
        versions: dict[str, t.Optional[str]] = dict.fromkeys(PACKAGES)
        held: list[str] = []
        if self._exists("/var/lib/dpkg/status"):
            listing = dpkg_packages(self._read("/var/lib/dpkg/status") or "", PACKAGES)
            for name, (version, wanted) in listing.items():
                versions[name] = version
                if wanted == "hold":
                    held.append(name)
        else:
            listing_rpm = self.run("rpm", "-qa", "--queryformat", "%{NAME}\t%{VERSION}-%{RELEASE}\n") or ""
            for line in listing_rpm.splitlines():
                name, _tab, version = line.partition("\t")
                if name in versions:
                    versions[name] = version
            held = version_locked(self._read("/etc/dnf/plugins/versionlock.list") or "", PACKAGES)
        return {"packages": versions, "held": sorted(held)}

    def runtime(self, units: dict[str, dict[str, str]]) -> dict[str, t.Any]:
        """The container runtime."""
        match = _VERSION.search((self.run("containerd", "--version") or "").partition("containerd ")[2])
        cri_dockerd = _VERSION.search(self.run("cri-dockerd", "--version") or "")
        return {
            "containerd": match.group(1) if match else None,
            "active": units.get("containerd", {}).get("ActiveState") == "active",
            "docker_active": units.get("docker", {}).get("ActiveState") == "active",
            "cri_dockerd": units.get("cri-docker", {}).get("ActiveState") == "active",
            "cri_dockerd_version": cri_dockerd.group(1) if cri_dockerd else None,
        }

    def kubernetes(self, units: dict[str, dict[str, str]]) -> dict[str, t.Any]:
        """What kubeadm has made of this node."""
        state = self.kubernetes_state
        kubelet = units.get("kubelet", {})
        match = _VERSION.search(self.run("kubelet", "--version") or "")
        return {
            "stage": state.stage,
            "role": state.role,
            "node_name": state.node_name,
            "server": state.server,
            "static_pods": state.static_pods,
            "etcd_member": "etcd" in state.static_pods,
            "external_etcd": bool(state.external_etcd),
            "settings": state.settings if state.is_member else {},
            "ca_hash": state.ca_hash,
            "kubelet_active": kubelet.get("ActiveState") == "active",
            "kubelet_enabled": kubelet.get("UnitFileState") == "enabled",
            "kubelet_version": match.group(1) if match else None,
            "api_server_version": state.api_server_version,
            "api_healthy": state.api_healthy(),
            "admin_conf": self._exists("/etc/kubernetes/admin.conf"),
            "interrupted": state.interrupted,
            "busy": state.busy,
            "traces": state.traces,
            "recovery": state.recovery() if state.stage == "partial" else None,
        }


def file_digest(path: str) -> t.Optional[str]:
    """The sha256 of a file, None where it cannot be read."""
    try:
        with open(path, "rb") as handle:
            return hashlib.sha256(handle.read()).hexdigest()
    except OSError:
        return None


def json_or_empty(text: t.Optional[str]) -> list[t.Any]:
    """The list that a program printed as JSON, an empty one where it printed nothing of use."""
    try:
        value = json.loads(text or "[]")
    except ValueError:
        return []
    return value if isinstance(value, list) else []


def parse_interfaces(text: str) -> list[dict[str, t.Any]]:
    """Interfaces from what `ip -j address show` prints, link-local addresses left out."""
    found = []
    for link in json_or_empty(text):
        name = str(link.get("ifname", ""))
        if not name or any(fnmatch.fnmatch(name, pattern) for pattern in _SKIPPED_INTERFACES):
            continue
        addresses = [
            f"{entry['local']}/{entry['prefixlen']}"
            for entry in link.get("addr_info", [])
            if entry.get("scope") == "global"
        ]
        found.append({"name": name, "mac": link.get("address"), "addresses": addresses})
    return found


def default_address(route: t.Mapping[str, t.Any], interfaces: t.Iterable[t.Mapping[str, t.Any]]) -> t.Optional[str]:
    """The address that the machine speaks from on its default route."""
    if route.get("prefsrc"):
        return str(route["prefsrc"])
    for interface in interfaces:
        if interface["name"] == route.get("dev") and interface["addresses"]:
            return str(interface["addresses"][0]).partition("/")[0]
    return None


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of an os-release file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _equals, value in pairs}


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Properties by unit name (without .service) from what `systemctl show` prints for several units."""
    units = {}
    for block in text.split("\n\n"):
        properties = {key: value for key, _equals, value in (line.partition("=") for line in block.splitlines())}
        name = properties.get("Id", "")
        if name.endswith(".service"):
            units[name[: -len(".service")]] = properties
    return units


def unit_state(properties: t.Mapping[str, str]) -> str:
    """active, inactive or absent."""
    if properties.get("LoadState", "not-found") != "loaded":
        return "absent"
    return "active" if properties.get("ActiveState") == "active" else "inactive"


def fstab_has_swap(text: str) -> bool:
    """Whether an fstab turns swap on at boot."""
    rows = [line.split("#", 1)[0].split() for line in text.splitlines()]
    return any(len(row) >= 3 and row[2] == "swap" and "noauto" not in (row[3:4] or [""])[0].split(",") for row in rows)


def name_servers(text: str) -> list[str]:
    """The name servers of a resolv.conf."""
    rows = [line.split() for line in text.splitlines()]
    return [row[1] for row in rows if len(row) >= 2 and row[0] == "nameserver"]


def is_loopback(server: str) -> bool:
    """Whether a name server's address is one of the machine itself."""
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def listening_sockets(table: str) -> dict[str, str]:
    """Inode and port of the listening sockets in a /proc/net/tcp table."""
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == "0A":
            found[fields[9]] = str(int(fields[1].rpartition(":")[2], 16))
    return found


def dpkg_packages(status: str, names: t.Iterable[str]) -> dict[str, tuple[str, str]]:
    """Version and wanted state (install, hold …) of these packages, where dpkg's status file has them installed."""
    wanted = set(names)
    found = {}
    for block in status.split("\n\n"):
        name = block[len("Package: ") : block.find("\n")]
        if name not in wanted:
            continue
        state = re.search(r"^Status: (\S+) \S+ installed$", block, re.MULTILINE)
        version = re.search(r"^Version: (\S+)$", block, re.MULTILINE)
        if state and version:
            found[name] = (version.group(1), state.group(1))
    return found


def version_locked(text: str, names: t.Iterable[str]) -> list[str]:
    """Names that dnf's version lock holds."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("#", "!"))]
    return [name for name in names if any(re.match(rf"(?:\d+:)?{re.escape(name)}-\d", line) for line in lines)]


def clock_synchronized() -> t.Optional[bool]:
    """Whether the kernel's clock is kept in step: its greatest error is below 16 s, as timedatectl sees it."""
    # The beginning of struct timex; what follows maxerror only has to have room.
    buffer = (ctypes.c_long * 64)()
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.adjtimex(ctypes.byref(buffer)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return bool(0 <= buffer[3] < 16_000_000)


def kernel_has_nf_tables() -> bool:
    """Ask the kernel itself for the generation of its nftables rule set."""
    request = struct.pack("=IHHII", 20, (10 << 8) | 16, 1, 1, 0) + struct.pack("=BBH", 0, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as connection:
            connection.settimeout(0.5)
            connection.send(request)
            answer = connection.recv(4096)
    except OSError:
        return False
    return len(answer) >= 6 and struct.unpack_from("=H", answer, 4)[0] == ((10 << 8) | 15)
