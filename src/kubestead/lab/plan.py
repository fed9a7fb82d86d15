"""The plan of a lab: which nodes, at which addresses, in which network, read from an ordinary inventory.

The inventory decides. Other numbers of nodes (``--workers 5``) make a second inventory from it, with the same variables,
in the state folder; Ansible then runs against that one.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import kubestead
from kubestead import paths
from kubestead.lab.commands import CommandError, run
from kubestead.lab.errors import LabError
from kubestead.lab.files import write_atomically

CONTROL_PLANE, WORKERS, OTHERS = "control_plane", "workers", ""
BUILT_IN = ("_meta", "all", "ungrouped")
FIRST_ADDRESS = {CONTROL_PLANE: 11, WORKERS: 21}
LAST_ADDRESS = {CONTROL_PLANE: 20, WORKERS: 250}
PREFIX = {CONTROL_PLANE: "control-plane", WORKERS: "worker"}
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Node:
    """One node: its inventory name, its address, its group, and the variables that stand at the host itself."""

    name: str
    address: str
    group: str
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Plan:
    """What a lab consists of.

    :ivar name: the inventory's ``cluster_name``; containers and network are named after it.
    :ivar inventory: the inventory that Ansible runs against.
    :ivar source: the one that it was made from; the same unless node numbers were asked for.
    :ivar mirror_url: the inventory's ``cluster_mirror_url``.
    :ivar kubernetes: the Kubernetes version of the inventory, or what was asked for instead; empty means the default.
    :ivar variables: the inventory's variables of the cluster, as far as they are no templates.
    :ivar other_groups: members and children of the groups beside control planes and workers.
    """

    name: str
    inventory: Path
    source: Path
    nodes: tuple[Node, ...]
    mirror_url: str = ""
    kubernetes: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False)
    other_groups: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict, compare=False)

    @cached_property
    def subnet(self) -> ipaddress.IPv4Network:
        """The network that holds all nodes."""
        return ipaddress.IPv4Network(f"{self.nodes[0].address}/24", strict=False)

    @property
    def gateway(self) -> str:
        """The address of this machine in that network."""
        return str(self.subnet.network_address + 1)

    @property
    def mirror_port(self) -> int | None:
        """Port of the mirror that this machine is to serve; None where the inventory names another mirror, or none."""
        address = urlsplit(self.mirror_url)
        return (address.port or 80) if address.hostname == self.gateway else None

    @property
    def network(self) -> str:
        """Name of the Docker network."""
        return f"kubestead-{self.name}"

    @property
    def folder(self) -> Path:
        """Where this lab keeps its state."""
        return lab_folder(self.name)

    def container(self, node: Node) -> str:
        """Name of a node's container."""
        return f"{self.name}-{node.name}"

    def place(self, node: Node) -> str:
        """The group of a node; of one that is no Kubernetes node, another group that lists it."""
        lists = (group for group, entry in self.other_groups.items() if node.name in entry.get("hosts", ()))
        return node.group or next(lists, "")

    def group(self, name: str) -> list[Node]:
        """The nodes of a group."""
        return [node for node in self.nodes if node.group == name]


def lab_folder(name: str) -> Path:
    """Where the lab of that name keeps its state."""
    return paths.state_dir() / "lab" / name


def default_inventory() -> Path:
    """The lab's inventory: in the current folder, in the checkout, or as the wheel carries it."""
    package = Path(kubestead.__file__).resolve().parent
    places = (Path("inventories/lab"), package.parent.parent / "inventories" / "lab", package / "inventories" / "lab")
    for place in places:
        if place.is_dir():
            return place
    raise LabError(
        f"There is no inventory for a lab; looked for {', '.join(map(str, places))}. Name one with --inventory."
    )


def read(inventory: Path) -> Plan:
    """Read the plan from an inventory.

    :raises LabError: it is none, or one that containers on this machine cannot be made from.
    """
    if not inventory.exists():
        raise LabError(f"{inventory}: there is no such inventory.")
    beside = Path(sys.executable).parent / "ansible-inventory"
    program = str(beside) if beside.exists() else "ansible-inventory"
    try:
        said = json.loads(run([program, "--inventory", str(inventory), "--list", "--export"], timeout=60))
    except CommandError as error:
        raise LabError(f"{inventory} cannot be read.\n{error}") from error
    return plan_from(said, inventory)


def plan_from(said: Mapping[str, Any], inventory: Path) -> Plan:
    """Make the plan of what ``ansible-inventory --list --export`` says, checking all that a lab relies on."""
    variables: dict[str, dict[str, Any]] = said.get("_meta", {}).get("hostvars", {})
    groups = dict.fromkeys(variables, OTHERS)
    for group in (WORKERS, CONTROL_PLANE):  # a host in both is a control plane that pods may run on
        groups |= dict.fromkeys(_members(said, group), group)
    listed = [name for group in (CONTROL_PLANE, WORKERS, "all") for name in _members(said, group)]
    nodes = tuple(_node(name, groups[name], variables.get(name, {}), inventory) for name in dict.fromkeys(listed))
    if not any(node.group == CONTROL_PLANE for node in nodes):
        raise LabError(f"{inventory}: the group {CONTROL_PLANE} has no host; a cluster needs at least one.")
    shared = {**said.get("all", {}).get("vars", {}), **said[CONTROL_PLANE].get("vars", {}), **nodes[0].variables}
    name = str(shared.get("cluster_name", "lab"))
    if not NAME.fullmatch(name):
        raise LabError(
            f"{inventory}: cluster_name is {name!r}. Containers are named after it, so it must be lower-case letters, "
            "digits and hyphens, with a letter or digit at both ends."
        )
    plan = Plan(
        name,
        inventory,
        inventory,
        nodes,
        mirror_url=str(shared.get("cluster_mirror_url", "")),
        kubernetes=str(shared.get("cluster_kubernetes_version", "")),
        variables=shared,
        other_groups={name: entry for name, entry in said.items() if name not in (CONTROL_PLANE, WORKERS, *BUILT_IN)},
    )
    _check_addresses(plan)
    return plan


def _members(said: Mapping[str, Any], group: str) -> list[str]:
    entry = said.get(group, {})
    inherited = [name for child in entry.get("children", []) for name in _members(said, child)]
    return list(dict.fromkeys([*entry.get("hosts", []), *inherited]))


def _node(name: str, group: str, variables: Mapping[str, Any], inventory: Path) -> Node:
    address = str(variables.get("ansible_host", ""))
    if not NAME.fullmatch(name):
        raise LabError(
            f"{inventory}: the host name {name!r} cannot be a container's: use lower-case letters, digits and hyphens."
        )
    try:
        ipaddress.IPv4Address(address)
    except ValueError as error:
        raise LabError(
            f"{inventory}: ansible_host of {name} is {address!r}; a lab gives each node the IPv4 address that stands there."
        ) from error
    return Node(name, address, group, dict(variables))


def _check_addresses(plan: Plan) -> None:
    seen: dict[str, str] = {}
    for node in plan.nodes:
        if node.address in seen:
            raise LabError(
                f"{plan.source}: {seen[node.address]} and {node.name} have the same address, {node.address}."
            )
        seen[node.address] = node.name
        if ipaddress.IPv4Address(node.address) not in plan.subnet:
            raise LabError(
                f"{plan.source}: {node.name} has the address {node.address}, outside {plan.subnet}, the network of "
                f"{plan.nodes[0].name}. All nodes of a lab share one /24."
            )
        if node.address == plan.gateway:
            raise LabError(
                f"{plan.source}: {node.name} has the address {node.address}, which is this machine's own in {plan.subnet}."
            )
    if not plan.subnet.is_private:
        raise LabError(f"{plan.source}: {plan.subnet} is no private network; take addresses such as 172.29.96.11.")


def resize(nodes: tuple[Node, ...], group: str, count: int) -> tuple[Node, ...]:
    """Have exactly this many nodes in a group: the first ones stay, further ones get the next free names and addresses.

    :raises LabError: there are not that many addresses.
    """
    kept = [node for node in nodes if node.group == group][:count]
    others = [node for node in nodes if node.group != group]
    prefix = nodes[0].address.rpartition(".")[0]
    names, addresses = ({node.name for node in [*kept, *others]}, {node.address for node in [*kept, *others]})
    free = (f"{prefix}.{last}" for last in range(FIRST_ADDRESS[group], LAST_ADDRESS[group] + 1))
    number = 0
    while len(kept) < count:
        address = next((address for address in free if address not in addresses), None)
        if address is None:
            limit = LAST_ADDRESS[group] - FIRST_ADDRESS[group] + 1
            raise LabError(f"{count} nodes in {group} are too many: {prefix}.0/24 has room for {limit}.")
        number = next(n for n in range(number + 1, len(names) + count + 1) if f"{PREFIX[group]}-{n}" not in names)
        kept.append(Node(f"{PREFIX[group]}-{number}", address, group))
    return tuple(sorted([*kept, *others], key=lambda node: (CONTROL_PLANE, WORKERS, OTHERS).index(node.group)))


def derive(plan: Plan, *, control_planes: int | None, workers: int | None, kubernetes: str = "") -> Plan:
    """Plan other numbers of nodes, or another Kubernetes; without any wish it is the plan itself."""
    if control_planes is None and workers is None and not kubernetes:
        return plan
    if control_planes is not None and control_planes < 1:
        raise LabError(f"--control-planes {control_planes}: a cluster needs at least one control plane.")
    if workers is not None and workers < 0:
        raise LabError(f"--workers {workers}: the number of workers is 0 or more.")
    nodes = plan.nodes
    for group, count in ((CONTROL_PLANE, control_planes), (WORKERS, workers)):
        if count is not None:
            nodes = resize(nodes, group, count)
    chosen = kubernetes or plan.kubernetes
    derived = replace(plan, nodes=nodes, inventory=plan.folder / "inventory", kubernetes=chosen)
    _check_addresses(derived)
    return derived


def write_inventory(plan: Plan) -> None:
    """Write the inventory of a plan that differs from its source.

    Its variables are links to the files of the source, so later changes there count.
    """
    if plan.inventory == plan.source:
        return
    folder = plan.inventory.with_suffix(".new")
    shutil.rmtree(folder, ignore_errors=True)
    everything = {node.name: {**node.variables, "ansible_host": node.address} for node in plan.nodes}
    groups: dict[str, Any] = {
        group: {"hosts": dict.fromkeys(node.name for node in plan.group(group))} for group in (CONTROL_PLANE, WORKERS)
    }
    for group, entry in plan.other_groups.items():
        groups[group] = {
            "hosts": dict.fromkeys(name for name in entry.get("hosts", []) if name in everything),
            "children": dict.fromkeys(entry.get("children", [])),
        }
    text = yaml.safe_dump({"all": {"hosts": everything, "children": groups}}, sort_keys=False)
    origin = f"# Written by `kubestead lab up` from {plan.source.resolve()}; removed by `down`.\n"
    write_atomically(folder / "hosts.yml", origin + text)
    source = (plan.source if plan.source.is_dir() else plan.source.parent).resolve()
    for kind in ("group_vars", "host_vars"):
        for path in sorted((source / kind).glob("*")) if (source / kind).is_dir() else []:
            _link(path, folder / kind / path.name)
    if plan.kubernetes:
        # Said again where it is the inventory's own, which does no harm.
        wish = yaml.safe_dump({"cluster_kubernetes_version": plan.kubernetes})
        # Ansible reads the files of a folder in the order of their names: this one comes last.
        write_atomically(folder / "group_vars" / "all" / "zz-kubernetes.yml", wish)
    shutil.rmtree(plan.inventory, ignore_errors=True)
    folder.rename(plan.inventory)


def _link(path: Path, target: Path) -> None:
    """Link files one by one: a linked folder would have us write into the source."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            _link(inner, target / inner.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path)
