"""What the machine's limits mean for a lab, and the arguments that let a node live with them.

Each workaround belongs to one finding and is applied only where its cause is present; ``kubestead lab doctor`` prints the
same findings that ``up`` acts upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from kubestead.lab.engine import Engine
from kubestead.lab.machine import MIB, Machine

CONTROL_PLANE_MEMORY = 800
WORKER_MEMORY = 350
DISK_NEEDED = 15_000
DISK_NEEDED_BUILT = 5_000
KUBELET_COLLECTS_AT = 80  # per cent; its imageGCLowThresholdPercent
INOTIFY_PER_NODE = 64
INOTIFY_WANTED = 8192
OPEN_FILES_NEEDED = 4096
NEEDED_FEATURES = ("bridge", "br_netfilter", "overlay", "veth", "vxlan")
OPTIONAL_FEATURES = {
    "ip_vs": "cluster_proxy_mode: ipvs",
    "wireguard": "encrypted pod networks",
    "dummy": "NodeLocal DNS",
}


class Level(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    HANDLED = "handled"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True)
class Finding:
    """One thing found out about this machine.

    :ivar name: short and stable, for scripts.
    :ivar found: what is there.
    :ivar effect: what follows from it; empty where all is well.
    :ivar remedy: what the lab does about it or, for warnings and blocking findings, what the user can do.
    """

    name: str
    level: Level
    found: str
    effect: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Situation:
    """Everything that findings are drawn from.

    :ivar privileged: whether ``docker run --privileged`` works; None where it was not tried.
    :ivar image: tag of the node image; empty where it is not built yet.
    """

    machine: Machine
    engine: Engine | None
    privileged: bool | None = None
    image: str = ""
    control_planes: int = 1
    workers: int = 2

    @property
    def unprivileged(self) -> bool:
        """Whether nodes have to do without ``--privileged``."""
        if self.privileged is None:
            return bool(self.machine.missing_capabilities)
        return not self.privileged


def node_arguments(situation: Situation) -> list[str]:
    """Arguments of ``docker run`` that make a container fit for systemd and a kubelet on this machine."""
    machine = situation.machine
    if situation.unprivileged:
        rights = ["--cap-add", "ALL"]
        for capability in machine.missing_capabilities:
            rights += ["--cap-drop", capability]
        for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
            rights += ["--security-opt", option]
        rights += ["--device-cgroup-rule", "a *:* rwm", "--volume", "/dev/kmsg:/dev/kmsg"]
    else:
        rights = ["--privileged"]
    modules = ["--volume", "/lib/modules:/lib/modules:ro"] if machine.module_folder else []
    return [
        *rights,
        *modules,
        "--cgroupns=private",
        *("--tmpfs", "/tmp:exec,mode=1777"),  # noqa: S108 - the node's own
        *("--tmpfs", "/run:exec"),
        *("--tmpfs", "/run/lock"),
        # Overlay file systems do not stack, and etcd wants a real disk.
        *("--volume", "/var/lib/containerd"),
        *("--volume", "/var/lib/docker"),
        *("--volume", "/var/lib/kubelet"),
        *("--volume", "/var/lib/etcd"),
    ]


def findings(situation: Situation) -> list[Finding]:
    """All findings, in the order in which one would look."""
    return [finding for check in CHECKS for finding in check(situation)]


def _platform(situation: Situation) -> Iterator[Finding]:
    machine = situation.machine
    release = f"{machine.distribution} {machine.codename}".strip()
    found = f"{machine.system} {machine.kernel}, {machine.architecture}, {release}"
    if machine.system == "Linux":
        yield Finding("platform", Level.FINE, found)
    else:
        yield Finding(
            "platform",
            Level.BLOCKING,
            found,
            "Docker runs in a virtual machine here, so the nodes' addresses cannot be reached from outside it.",
            "Run Kubestead inside a Linux virtual machine.",
        )


def _engine(situation: Situation) -> Iterator[Finding]:
    engine, machine = situation.engine, situation.machine
    if engine is not None:
        started = ", started by the lab" if engine.ours else ""
        found = f"Docker {engine.version} on {engine.name}, {engine.storage_driver}{started}"
        if engine.rootless:
            yield Finding("engine", Level.BLOCKING, found + ", rootless", "Nodes need an engine that runs as root.")
        elif "desktop" in engine.system.lower():
            yield Finding(
                "engine",
                Level.BLOCKING,
                f"{found}, {engine.system}",
                "Its containers live in a virtual machine; their addresses cannot be reached from here.",
                "Use a Docker engine on Linux itself: `docker context use default`.",
            )
        else:
            yield Finding("engine", Level.FINE, found)
        return
    client = f"a client at {machine.tools['docker']}, " if machine.tools.get("docker") else ""
    what = "starts dockerd" if machine.tools.get("dockerd") else "installs docker.io and starts dockerd"
    if machine.root:
        yield Finding(
            "engine",
            Level.HANDLED,
            f"{client}no engine that answers",
            "There is nothing to run nodes on.",
            f"`up` {what}, with its data in the cache; `down` stops it with the last lab.",
        )
    else:
        yield Finding(
            "engine",
            Level.BLOCKING,
            f"{client}no engine that answers",
            "Only root may start one.",
            "Start Docker (`sudo systemctl start docker`), or run as root.",
        )


def _rights(situation: Situation) -> Iterator[Finding]:
    missing = situation.machine.missing_capabilities
    tried = {None: "not tried yet: it needs the node image", True: "works", False: "fails"}[situation.privileged]
    found = f"`docker run --privileged`: {tried}" + (f"; capabilities missing: {', '.join(missing)}" if missing else "")
    if not situation.unprivileged:
        yield Finding("privileges", Level.FINE, found)
        return
    effect = "Docker cannot start privileged containers."
    if "SYS_RESOURCE" in missing:
        effect += " Limits cannot be raised, nor the OOM score lowered, by anything in a node."
    yield Finding(
        "privileges",
        Level.HANDLED,
        found,
        effect,
        "Nodes get every capability that there is, one by one, with seccomp, AppArmor and path masking off, and remount /sys writable "
        "at boot. The roles see the same on the node and configure containerd and the kubelet for it.",
    )


def _cgroups(situation: Situation) -> Iterator[Finding]:
    version = situation.engine.cgroup_version if situation.engine else situation.machine.cgroup_version
    if version == 1:
        yield Finding(
            "cgroups",
            Level.HANDLED,
            "version 1",
            "The kubelet refuses it from Kubernetes 1.35 on, and so does systemd after Debian 12.",
            "Nodes are Debian 12; the roles see it on the node and set the kubelet's failCgroupV1 to false.",
        )
    elif version == 0:
        yield Finding(
            "cgroups", Level.BLOCKING, "none mounted", "Containers need them.", "Mount cgroup2 at /sys/fs/cgroup."
        )
    else:
        yield Finding("cgroups", Level.FINE, f"version {version}")


def _kernel(situation: Situation) -> Iterator[Finding]:
    machine = situation.machine
    missing = [name for name in NEEDED_FEATURES if machine.features.get(name) == "missing"]
    found = ", ".join(f"{name} {machine.features.get(name, 'unknown')}" for name in NEEDED_FEATURES)
    if missing:
        yield Finding(
            "kernel",
            Level.BLOCKING,
            found,
            f"Without {' and '.join(missing)} the nodes or their pods have no network or no images.",
            "Use a kernel that has them.",
        )
    else:
        yield Finding("kernel", Level.FINE, found)
    absent = {name: use for name, use in OPTIONAL_FEATURES.items() if machine.features.get(name) == "missing"}
    if absent:
        yield Finding(
            "kernel-options",
            Level.WARNING,
            f"no {', '.join(absent)}",
            f"Not usable in this lab: {', '.join(absent.values())}.",
            "Leave them off, or use another kernel.",
        )
    if not machine.module_folder:
        yield Finding(
            "modules",
            Level.HANDLED,
            f"no /lib/modules/{machine.kernel}",
            "`modprobe` fails, also for what is built into the kernel.",
            "Nothing is mounted into the nodes; the roles look for the feature, not for the module.",
        )


def _memory(situation: Situation) -> Iterator[Finding]:
    machine = situation.machine
    needed = situation.control_planes * CONTROL_PLANE_MEMORY + situation.workers * WORKER_MEMORY
    found = f"{machine.memory_available} of {machine.memory} MiB available, {machine.cores} cores"
    if machine.memory_available < needed:
        yield Finding(
            "memory",
            Level.WARNING,
            found,
            f"{situation.control_planes} control planes and {situation.workers} workers take about {needed} MiB.",
            "Ask for fewer nodes (--workers), or close other programs.",
        )
    else:
        yield Finding("memory", Level.FINE, found)


def _disk(situation: Situation) -> Iterator[Finding]:
    machine = situation.machine
    used = 100 - 100 * machine.disk_available // max(machine.disk, 1)
    found = f"{machine.disk_available * MIB // 10**9} of {machine.disk * MIB // 10**9} GB available in the cache ({used} % taken)"
    needed = DISK_NEEDED_BUILT if situation.image else DISK_NEEDED
    if machine.disk_available < needed:
        yield Finding(
            "disk",
            Level.WARNING,
            found,
            f"Building and running a lab takes about {needed // 1000} GB.",
            "Make room, or put the cache elsewhere with XDG_CACHE_HOME.",
        )
    elif used >= KUBELET_COLLECTS_AT:
        yield Finding(
            "disk",
            Level.HANDLED,
            found,
            "With its defaults the kubelet would delete images at 85 % and evict pods soon after.",
            "The lab's inventory gives it absolute limits instead.",
        )
    else:
        yield Finding("disk", Level.FINE, found)


def _resolvers(situation: Situation) -> Iterator[Finding]:
    resolvers = situation.machine.resolvers
    if not resolvers.addresses:
        yield Finding(
            "resolvers",
            Level.WARNING,
            "only local ones",
            "Nodes keep Docker's 127.0.0.11, which pods cannot reach: CoreDNS would ask itself and stop.",
            "Name one that the whole network can reach: `up --resolver ADDRESS`.",
        )
    else:
        yield Finding(
            "resolvers",
            Level.HANDLED,
            f"{', '.join(resolvers.addresses)} (from {resolvers.source})",
            "Docker would give nodes 127.0.0.11, which pods cannot reach: CoreDNS would ask itself and stop.",
            "These are written into each node's /etc/resolv.conf.",
        )


def _inotify(situation: Situation) -> Iterator[Finding]:
    instances = situation.machine.inotify_instances
    needed = (situation.control_planes + situation.workers + 1) * INOTIFY_PER_NODE
    if 0 < instances < needed:
        yield Finding(
            "inotify",
            Level.HANDLED,
            f"{instances} watchers for each user",
            "All nodes are one user, root; kubelets and log readers soon end with `too many open files`.",
            f"`up` sets fs.inotify.max_user_instances to {INOTIFY_WANTED}; the last `down` sets it back.",
        )
    else:
        yield Finding("inotify", Level.FINE, f"{instances} watchers for each user")


def _open_files(situation: Situation) -> Iterator[Finding]:
    limit = situation.machine.open_files
    if 0 < limit < OPEN_FILES_NEEDED:
        yield Finding(
            "open-files",
            Level.WARNING,
            f"at most {limit} for a process",
            "etcd and the API server may run out.",
            f"Raise the hard limit to {OPEN_FILES_NEEDED} or more.",
        )
    else:
        yield Finding("open-files", Level.FINE, f"at most {limit or 'unlimited'} for a process")


def _image(situation: Situation) -> Iterator[Finding]:
    machine = situation.machine
    if situation.image:
        yield Finding("image", Level.FINE, situation.image)
    elif machine.root and machine.distribution == "debian":
        yield Finding(
            "image",
            Level.HANDLED,
            "not built yet",
            "",
            "`up` builds it from this machine's Debian mirror with mmdebstrap.",
        )
    else:
        yield Finding("image", Level.HANDLED, "not built yet", "", "`up` builds it on docker.io's debian:12.")


def _ssh(situation: Situation) -> Iterator[Finding]:
    missing = [name for name in ("ssh", "ssh-keygen") if not situation.machine.tools.get(name)]
    if not missing:
        yield Finding("ssh", Level.FINE, situation.machine.tools["ssh"])
    elif situation.machine.root and situation.machine.distribution == "debian":
        yield Finding(
            "ssh", Level.HANDLED, "not installed", "Ansible reaches nodes by SSH.", "`up` installs openssh-client."
        )
    else:
        yield Finding(
            "ssh", Level.BLOCKING, "not installed", "Ansible reaches nodes by SSH.", "Install OpenSSH's client."
        )


CHECKS: tuple[Callable[[Situation], Iterator[Finding]], ...] = (
    _platform,
    _engine,
    _rights,
    _cgroups,
    _kernel,
    _memory,
    _disk,
    _resolvers,
    _inotify,
    _open_files,
    _ssh,
    _image,
)
