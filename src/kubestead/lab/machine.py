"""What this machine is and can do, found by looking; nothing is changed, nothing is assumed.

The functions that read text are apart from those that fetch it, so that tests feed them what other machines said.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubestead import paths

# In the kernel's order: the number of a capability is its place.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL"),
    *("SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO"),
    *("SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE"),
    *("AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM"),
    *("BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)

# Kernel feature -> a kind of link that only it can make. Links say it surely, also where modules are built in.
LINKS = {
    "bridge": ["type", "bridge"],
    "veth": ["type", "veth", "peer", "name", "probe1"],
    "vxlan": ["type", "vxlan", "id", "1", "dstport", "4789", "dev", "lo"],
    "dummy": ["type", "dummy"],
    "wireguard": ["type", "wireguard"],
}
MODULES = {"overlay": "overlay", "br_netfilter": "br_netfilter", "nf_tables": "nf_tables", "ip_vs": "ip_vs"}
RESOLVER_FILES = (
    Path("/etc/resolv.conf"),
    Path("/run/systemd/resolve/resolv.conf"),
    Path("/run/NetworkManager/no-stub-resolv.conf"),
)
MIB = 2**20


@dataclass(frozen=True)
class Resolvers:
    """Name servers that a node can use: ``addresses`` and ``search`` domains, and the file that they stand in."""

    addresses: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Machine:
    """One look at this machine. Sizes are in MiB.

    ``features`` maps a kernel feature to ``present``, ``loadable``, ``missing`` or ``unknown``;
    ``disk_root_only`` is space that ``df`` counts as neither used nor available.
    """

    system: str
    kernel: str
    architecture: str
    distribution: str
    codename: str
    root: bool
    first_process: str
    cores: int
    memory: int
    memory_available: int
    disk: int
    disk_available: int
    missing_capabilities: tuple[str, ...]
    cgroup_version: int
    resolvers: Resolvers
    features: Mapping[str, str]
    module_folder: bool
    inotify_instances: int
    open_files: int
    tools: Mapping[str, str]


def look() -> Machine:
    """Look at this machine; takes a fraction of a second."""
    release = parse_release(_read(Path("/etc/os-release")))
    memory = parse_meminfo(_read(Path("/proc/meminfo")))
    disk = shutil.disk_usage(_existing(paths.cache_dir()))
    return Machine(
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        distribution=release.get("ID", ""),
        codename=release.get("VERSION_CODENAME", ""),
        root=os.geteuid() == 0,
        first_process=_read(Path("/proc/1/comm")).strip(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=memory.get("MemTotal", 0) // 1024,
        memory_available=memory.get("MemAvailable", 0) // 1024,
        disk=disk.total // MIB,
        disk_available=disk.free // MIB,
        missing_capabilities=missing_capabilities(
            _read(Path("/proc/self/status")), _read(Path("/proc/sys/kernel/cap_last_cap"))
        ),
        cgroup_version=cgroup_version(_read(Path("/proc/self/mountinfo"))),
        resolvers=find_resolvers(_read),
        features=kernel_features(),
        module_folder=Path("/lib/modules", platform.release()).is_dir(),
        inotify_instances=int(_read(Path("/proc/sys/fs/inotify/max_user_instances")) or 0),
        open_files=int(parse_limits(_read(Path("/proc/self/limits"))).get("Max open files", 0)),
        tools={name: shutil.which(name) or "" for name in ("docker", "dockerd", "mmdebstrap", "ssh", "ssh-keygen")},
    )


def parse_release(text: str) -> dict[str, str]:
    """The assignments of an ``os-release`` file."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: "".join(shlex.split(value)) for key, value in pairs}


def parse_meminfo(text: str) -> dict[str, int]:
    """``/proc/meminfo``: name to KiB."""
    return {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}


def parse_limits(text: str) -> dict[str, int]:
    """The hard limits of ``/proc/PID/limits`` that are numbers."""
    rows = re.findall(r"^(Max [a-z ]*[a-z]) {2,}\S+ +(\d+) ", text, re.MULTILINE)
    return {name: int(hard) for name, hard in rows}


def missing_capabilities(status: str, last: str) -> tuple[str, ...]:
    """Capabilities that the kernel has and that no process here can ever hold.

    :param status: text of ``/proc/self/status``.
    :param last: text of ``/proc/sys/kernel/cap_last_cap``; empty means all that we know.
    """
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if match is None:
        return ()
    bounding = int(match[1], 16)
    known = CAPABILITIES[: int(last) + 1] if last.strip() else CAPABILITIES
    return tuple(name for number, name in enumerate(known) if not bounding >> number & 1)


def cgroup_version(mountinfo: str) -> int:
    """1 where any controller still has a hierarchy of its own, else 2; 0 where there are no cgroups at all."""
    kinds = set(re.findall(r"^\S+ \S+ \S+ \S+ /sys/fs/cgroup\S* .* - (cgroup2?) ", mountinfo, re.MULTILINE))
    if "cgroup" in kinds:
        return 1
    return 2 if "cgroup2" in kinds else 0


def find_resolvers(read: Callable[[Path], str], files: Iterable[Path] = RESOLVER_FILES) -> Resolvers:
    """The first file that names resolvers which other machines can reach as well.

    Loopback addresses (systemd-resolved's 127.0.0.53, a local dnsmasq) mean something else inside a node, and nodes have
    no IPv6 of their own.
    """
    for path in files:
        found = parse_resolvers(read(path), str(path))
        if found.addresses:
            return found
    return Resolvers()


def parse_resolvers(text: str, source: str) -> Resolvers:
    """The usable part of a ``resolv.conf``."""
    words = [line.split() for line in text.splitlines()]
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    search = [word[1:] for word in words if len(word) > 1 and word[0] in ("search", "domain")]
    return Resolvers(
        addresses=tuple(address for address in named if _reachable_from_nodes(address)),
        search=tuple(name for name in (search[-1] if search else []) if name != "."),
        source=source,
    )


def _reachable_from_nodes(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def kernel_features() -> dict[str, str]:
    """Which of the features that clusters use this kernel has."""
    release = platform.release()
    index = "\n".join(_read(Path("/lib/modules", release, name)) for name in ("modules.builtin", "modules.dep"))
    features = {name: _module_state(module, index) for name, module in MODULES.items()}
    if "overlay" in _read(Path("/proc/filesystems")):
        features["overlay"] = "present"
    if Path("/proc/sys/net/bridge").is_dir():
        features["br_netfilter"] = "present"
    features |= {name: _link_state(arguments) for name, arguments in LINKS.items()}
    return dict(sorted(features.items()))


def _module_state(module: str, index: str) -> str:
    if Path("/sys/module", module).is_dir():
        return "present"
    if re.search(rf"/{module}\.ko", index):
        return "loadable"
    # Without an index there is no telling what is built in and has no parameters.
    return "missing" if index.strip() else "unknown"


def _link_state(arguments: list[str]) -> str:
    """Try to make such a link in a network namespace that ends with the attempt."""
    separate = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        probe = subprocess.run(
            [*separate, "ip", "link", "add", "probe0", *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return link_state(probe.returncode, probe.stderr)


def link_state(code: int, said: str) -> str:
    """What ``ip link add`` tells of the kernel."""
    if code == 0:
        return "present"
    return "missing" if re.search(r"Unknown device type|not supported", said) else "unknown"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
