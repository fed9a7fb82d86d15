"""What a machine is like, taken down twice, and the difference: whether what was built and removed has left anything behind.

From a test::

    before = take(docker("integration-worker-1"))
    ...
    found = difference(before, take(docker("integration-worker-1")))
    assert not found, report(found)

From a shell::

    python tests/integration/residue.py take docker:lab-worker-1 >before.json
    python tests/integration/residue.py take ssh:root@192.0.2.7 >after.json
    python tests/integration/residue.py diff before.json after.json
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Snapshot = dict[str, dict[str, str]]
"""For each section (files, links, ...) what there is, by name, and what it is like."""
Difference = dict[str, dict[str, tuple[str | None, str | None]]]
"""For each section what differs, by name, with what it was before and is after; None where it was or is not there."""

PROBE = Path(__file__).with_name("residue_probe.py")

# What changes on an idle machine too, or tells of the visits of Ansible and of the package manager, and not of what was built.
VOLATILE: dict[str, tuple[str, ...]] = {
    "files": (
        "/etc/.pwd.lock",
        "/etc/ld.so.cache",
        "/root/.ansible*",
        "/run/ansible*",
        "/run/log/*",
        "/run/motd.dynamic",
        "/run/sshd*",
        "/run/systemd/*",
        "/run/udev/*",
        "/run/user/*",
        "/run/utmp",
        "/run/xtables.lock",
        "/tmp/*",
        "*/__pycache__*",
        "/var/cache/*",
        "/var/lib/apt/*",
        "/var/lib/dpkg/*",
        "/var/lib/systemd/*",
        "/var/log/*.log",
        "/var/log/apt*",
        "/var/log/btmp",
        "/var/log/journal*",
        "/var/log/lastlog",
        "/var/log/wtmp",
    ),
    "mounts": ("/run/user/*",),
    "processes": ("sshd: *", "*ssh-agent*", "(sd-pam)", "/lib/systemd/systemd --user"),
    "sysctls": (
        "fs.dentry-state",
        "fs.file-nr",
        "fs.inode-*",
        "fs.aio-nr",
        "fs.quota.*",
        "kernel.ns_last_pid",
        "kernel.pty.nr",
        "kernel.random.*",
        "kernel.tainted",
        "net.netfilter.nf_conntrack_count",
    ),
    "units": (
        "session-*",
        "user-*",
        "user@*",
        "user-runtime-dir@*",
        "*.device",
        "apt-daily*",
        "dpkg-db-backup*",
        "*.timer",
        "network-online.target",
    ),
}

# What a reset leaves on purpose, and says so: docs/reset.md.
LEFT: dict[str, tuple[str, ...]] = {
    # The mounts of the lab's nodes are emptied and kept, with the mode that kubelet, etcd, containerd and Docker gave them.
    "files": ("/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd", "/var/lib/kubelet"),
    # Ansible's module for packages installs the first one for itself, the others come with it.
    "packages": ("python3-apt", "python-apt-common", "distro-info-data"),
    # Kernel settings, until the next boot.
    "sysctls": (
        "kernel.keys.root_maxbytes",
        "kernel.keys.root_maxkeys",
        "kernel.panic",
        "kernel.panic_on_oops",
        "net.bridge.bridge-nf-call-ip*tables",
        "net.ipv4.conf.*.forwarding",
        "net.ipv4.conf.all.route_localnet",
        "net.ipv4.ip_forward",
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        "vm.overcommit_memory",
    ),
}


def docker(container: str) -> list[str]:
    """The beginning of a command that runs in a container."""
    return ["docker", "exec", "--interactive", container]


def ssh(address: str, *options: str) -> list[str]:
    """The beginning of a command that runs on a host, as root."""
    return ["ssh", *options, address]


def take(reach: Sequence[str]) -> Snapshot:
    """What the machine is like now, seen by a program that is piped to its Python and leaves nothing there."""
    answer = subprocess.run(
        [*reach, "python3", "-B", "-"],
        input=PROBE.read_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if answer.returncode != 0:
        raise RuntimeError(f"{' '.join(reach)} python3 ended with {answer.returncode}: {answer.stderr.strip()}")
    snapshot: Snapshot = json.loads(answer.stdout)
    return snapshot


def difference(before: Snapshot, after: Snapshot, allowed: Mapping[str, Sequence[str]] = LEFT) -> Difference:
    """What differs, without what is volatile and without what is allowed: patterns of names for each section."""
    found: Difference = {}
    for section in sorted({*before, *after}):
        patterns = [*VOLATILE.get(section, ()), *allowed.get(section, ())]
        skipped = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
        old, new = before.get(section, {}), after.get(section, {})
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name) and not skipped.match(name))
        if names:
            found[section] = {name: (old.get(name), new.get(name)) for name in names}
    return found


def report(found: Difference) -> str:
    """The difference to read: + for what is new, - for what is gone, ~ for what is different."""
    lines = []
    for section, names in found.items():
        lines.append(f"{section}:")
        for name, (old, new) in names.items():
            if old is None:
                lines.append(f"  + {name}  {new}")
            elif new is None:
                lines.append(f"  - {name}  {old}")
            else:
                lines.append(f"  ~ {name}  {old} -> {new}")
    return "\n".join(lines)


def _main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["take", machine] if machine.partition(":")[0] in ("docker", "ssh"):
            kind, _, name = machine.partition(":")
            print(json.dumps(take(docker(name) if kind == "docker" else ssh(name)), indent=1, sort_keys=True))
            return 0
        case ["diff", before, after]:
            found = difference(json.loads(Path(before).read_text()), json.loads(Path(after).read_text()))
            print(report(found) or "no difference")
            return 1 if found else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 64


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
