"""Writes a first inventory: who the machines are, and the few things about a cluster that everybody decides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z_][-A-Za-z0-9_.]*")


class NewInventoryError(ValueError):
    """The inventory cannot be written as it is wanted; the message says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A host of the inventory."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInventory:
    """What a first inventory says."""

    cluster: str
    user: str
    control_planes: Sequence[Machine]
    workers: Sequence[Machine] = ()
    load_balancers: Sequence[Machine] = ()
    virtual_ip: str = ""
    kubernetes_version: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.cluster):
            raise NewInventoryError(
                f"{self.cluster!r} cannot be a cluster's name: lower-case letters, digits and dashes, at most 63. Give another by --name."
            )
        if not _USER.fullmatch(self.user):
            raise NewInventoryError(f"{self.user!r} cannot be a user's name")
        if self.virtual_ip and not _ADDRESS.fullmatch(self.virtual_ip):
            raise NewInventoryError(f"{self.virtual_ip!r} is no address")
        names = [machine.name for machine in (*self.control_planes, *self.workers, *self.load_balancers)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise NewInventoryError(f"more than one machine is called {', '.join(twice)}")


def machines(words: Sequence[str], kind: str) -> list[Machine]:
    """Machines given as NAME=ADDRESS, or as ADDRESS alone, which are then called by their kind and number."""
    found = []
    for number, word in enumerate(words, 1):
        name, equals, address = word.rpartition("=")
        machine = Machine(name if equals else f"{kind}-{number}", address)
        if not _NAME.fullmatch(machine.name):
            raise NewInventoryError(
                f"{machine.name!r} in {word!r} cannot be a machine's name: lower-case letters, digits and dashes, as {kind}-{number}"
            )
        if not _ADDRESS.fullmatch(machine.address):
            raise NewInventoryError(
                f"{machine.address!r} in {word!r} is no address. Give NAME=ADDRESS, as {kind}-{number}=192.0.2.11"
            )
        found.append(machine)
    return found


def write(folder: Path, wanted: NewInventory) -> list[Path]:
    """Write hosts.yml and group_vars/all/cluster.yml; never over anything that is there. Gives what was written."""
    files = {
        folder / "hosts.yml": render_hosts(wanted, folder),
        folder / "group_vars" / "all" / "cluster.yml": render_cluster(wanted),
    }
    if there := [str(path) for path in files if path.exists()]:
        raise NewInventoryError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already. Nothing was written; name another folder."
        )
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise NewInventoryError(f"{error.filename} cannot be written: {os.strerror(error.errno or 0)}") from error
    return list(files)


def render_hosts(wanted: NewInventory, folder: Path) -> str:
    """The text of hosts.yml."""
    login = f"ansible_user: {_scalar(wanted.user)}"
    lines = [
        "---",
        f"# The machines of the cluster {wanted.cluster}. Whoever runs Kubestead logs in to each by SSH, as the user below.",
        "#",
        f"#   kubestead plan -i {folder}    # what would change",
        f"#   kubestead apply -i {folder}   # build it, or bring it to what stands here",
        "all:",
        "  vars:",
        f"    {login}",
    ]
    if wanted.user != "root":
        lines.append("    ansible_become: true # sudo, which must not ask for a password")
    lines.append("  children:")
    lines += _load_balancers(wanted)
    lines.append(
        "    # Machines that run the API server, etcd and their kin. Three bear the loss of one, five the loss of two."
    )
    lines += _group("control_plane", wanted.control_planes)
    lines.append("")
    lines.append(
        "    # Machines that only run pods. Another one goes in here, and the same command adds it to the cluster."
    )
    lines += _group("workers", wanted.workers)
    return "\n".join(lines) + "\n"


def render_cluster(wanted: NewInventory) -> str:
    """The text of group_vars/all/cluster.yml."""
    lines = [
        "---",
        "# What the cluster is like. Each variable has a default; docs/variables.md describes all of them, and",
        "# `kubestead schema` prints what an editor completes them by.",
        "",
        "# The name that kubectl shows, and that a reset asks for.",
        f"cluster_name: {_scalar(wanted.cluster)}",
    ]
    if wanted.virtual_ip:
        lines += [
            "",
            "# The address that kubectl and all nodes use: a free one in the network of the load balancers.",
            f"cluster_virtual_ip: {_scalar(wanted.virtual_ip)}",
        ]
    lines += [
        "",
        "# What `kubestead upgrade` goes by. Without it, a newer Kubestead would bring a newer release. Quoted, since YAML would read",
        "# 1.40 as the number 1.4.",
        f'cluster_kubernetes_version: "{wanted.kubernetes_version}"',
        "",
        "# Ranges for pods and services, if these defaults are in use in your own network.",
        "# cluster_pod_cidr: 10.244.0.0/16",
        "# cluster_service_cidr: 10.96.0.0/12",
        "",
        "# Where Google's servers are out of reach, a mirror of your own (`kubestead mirror`) serves all packages and images:",
        "# cluster_mirror_url: http://192.0.2.1:8765",
    ]
    return "\n".join(lines) + "\n"


def _load_balancers(wanted: NewInventory) -> Iterator[str]:
    if not wanted.load_balancers and not wanted.virtual_ip:
        return
    yield "    # Machines that lead to the API servers. One of them holds the virtual address; another takes over when it fails."
    if wanted.load_balancers:
        yield from _group("load_balancers", wanted.load_balancers)
    else:
        yield from ("    load_balancers:", "      children:", "        control_plane:")
    yield ""


def _group(name: str, members: Sequence[Machine]) -> Iterator[str]:
    yield f"    {name}:"
    yield "      hosts:" if members else "      hosts: {}"
    for machine in members:
        yield f"        {_scalar(machine.name)}:"
        yield f"          ansible_host: {_scalar(machine.address)}"


def _scalar(text: str) -> str:
    """A name or address in YAML: in quotes where it would be read as anything but text."""
    import yaml

    return text if yaml.safe_load(text) == text and ": " not in text and not text.endswith(":") else f'"{text}"'
