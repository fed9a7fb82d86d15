# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes can leave a cluster, and in which order; judged by the cluster as it is, not by an inventory."""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd_quorum as quorum
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Member

NOTHING = "Nothing was changed."
DEAD = "`--dead` (`-e remove_dead=true`)"


class Request(t.NamedTuple):
    """What is asked for, and what the inventory and a first look tell of the machines."""

    names: t.List[str]
    hosts: t.Mapping[str, t.Sequence[str]]
    unreachable: t.Collection[str]
    dead: bool


class Seen(t.NamedTuple):
    """The cluster: its nodes, those whose kubelet does not report, the members of etcd, and which of them work."""

    nodes: t.Mapping[str, t.Mapping[str, t.Any]]
    silent: t.Collection[str]
    members: t.Sequence[Member]
    healthy: t.Collection[str]


class Leaving(t.NamedTuple):
    """A node that is to leave."""

    name: str
    control_plane: bool
    exists: bool
    etcd_member: bool
    in_inventory: bool
    reachable: bool
    dead: bool


class Removal:
    """A request, judged by what was seen."""

    def __init__(self, request: Request, seen: Seen) -> None:
        self.request = request
        self.seen = seen
        self.nodes = [self._leaving(name) for name in dict.fromkeys(request.names) if self._known(name)]

    def ordered(self) -> list[Leaving]:
        """The nodes in the order in which they can leave: of control planes, those first whose etcd works no more."""
        return sorted(self.nodes, key=lambda node: (node.control_plane, self._works(node), node.name))

    def mistakes(self) -> list[str]:
        """Everything that is wrong with the request."""
        if not self.request.names:
            return [
                "remove_nodes names no node. Say which ones are to leave: `kubestead node remove worker-2 worker-3` "
                "(`-e remove_nodes=worker-2,worker-3`)"
            ]
        found = [*self._unknown(), *self._balancers(), *self._unreached()]
        return found + ([] if found else self._control_planes())

    # the request

    def _known(self, name: str) -> bool:
        return name in self.seen.nodes or name in self.request.hosts or self._member(name) is not None

    def _groups(self, name: str) -> t.Sequence[str]:
        return self.request.hosts.get(name, ())

    def _leaving(self, name: str) -> Leaving:
        node = self.seen.nodes.get(name)
        member = self._member(name)
        labelled = node["control_plane"] if node else "control_plane" in self._groups(name)
        in_inventory = name in self.request.hosts
        reachable = in_inventory and name not in self.request.unreachable
        silent = name in self.request.unreachable or name in self.seen.silent
        return Leaving(
            name,
            bool(labelled or member),
            node is not None,
            member is not None,
            in_inventory,
            reachable,
            self.request.dead and silent,
        )

    def _member(self, name: str) -> t.Optional[Member]:
        address = self.seen.nodes.get(name, {}).get("address", "")
        return quorum.member_of(name, address, self.seen.members)

    def _works(self, node: Leaving) -> bool:
        member = self._member(node.name)
        return member is not None and member.id in self.seen.healthy

    # what is wrong

    def _unknown(self) -> t.Iterator[str]:
        known = sorted({*self.seen.nodes, *self.request.hosts})
        for name in self.request.names:
            if not self._known(name):
                near = difflib.get_close_matches(name, known, 1)
                hint = (
                    f" Did you mean {near[0]}?" if near else f" The cluster has {', '.join(sorted(self.seen.nodes))}."
                )
                yield f"There is no node {name}, neither in the cluster nor in the inventory.{hint}"

    def _balancers(self) -> t.Iterator[str]:
        for node in self.nodes:
            groups = self._groups(node.name)
            if not node.exists and node.in_inventory and not {"control_plane", "workers"} & set(groups):
                yield (
                    f"{node.name} is no node of this cluster: the inventory has it in {', '.join(groups) or 'no group'}. "
                    f"`kubestead reset --limit {node.name}` (playbooks/reset.yml) takes a load balancer off."
                )

    def _unreached(self) -> t.Iterator[str]:
        for node in self.nodes:
            if node.in_inventory and not node.reachable and not node.dead:
                yield (
                    f"{node.name} cannot be reached by SSH, so it could not be cleaned. Bring it back; or, if the machine is off for good, "
                    f"say so with {DEAD}: the cluster then forgets it, and nothing is done on the machine."
                )

    def _control_planes(self) -> list[str]:
        leaving = [node for node in self.ordered() if node.control_plane]
        names = {node.name for node in leaving}
        there = {name for name, node in self.seen.nodes.items() if node["control_plane"]}
        if names & there and not there - names:
            last = "the last control plane" if len(there) == 1 else "all the control planes"
            return [
                f"{_and(names & there)} would be {last} to go, and the cluster with it. If that is what you want, take the whole cluster "
                "apart with `kubestead reset` (playbooks/reset.yml)."
            ]
        members = [member for member in map(self._member, (node.name for node in leaving)) if member]
        voters = [member for member in self.seen.members if not member.learner]
        bearable = max(1, (len(voters) - 1) // 2)
        if len(members) > bearable:
            return [
                f"{_and(names)} are {len(members)} of {len(voters)} members of etcd, which bears the loss of {bearable} at a time. "
                f"Remove {leaving[0].name} first, see that the cluster is well, then go on."
            ]
        trouble = quorum.trouble(self.seen.members, self.seen.healthy, members)
        return [trouble] if trouble else []


def _and(names: t.Iterable[str]) -> str:
    ordered = sorted(names)
    return " and ".join([", ".join(ordered[:-1]), ordered[-1]] if len(ordered) > 1 else ordered)


def report(mistakes: t.Sequence[str]) -> str:
    """The mistakes as one message."""
    if len(mistakes) == 1:
        return f"{mistakes[0]} {NOTHING}"
    return "\n".join([f"{NOTHING} {len(mistakes)} things stand against it:", *(f"- {mistake}" for mistake in mistakes)])
