# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members of etcd work, and whether a majority of them does once some have left."""

from __future__ import annotations

import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd, Member

TIMEOUT = 4


def works(member: Member, ask: t.Callable[..., Etcd] = Etcd) -> bool:
    """Whether a member answers and knows a leader."""
    try:
        return bool(ask(list(member.hosts), timeout=TIMEOUT).status().get("leader", "0") != "0")
    except (KubesteadError, OSError):
        return False


def working(members: t.Iterable[Member], ask: t.Callable[..., Etcd] = Etcd) -> set[str]:
    """The ids of the members that work."""
    return {member.id for member in members if works(member, ask)}


def member_of(name: str, address: str, members: t.Iterable[Member]) -> t.Optional[Member]:
    """The member of a node; one that has never started has no name, and is known by its address."""
    for member in members:
        if member.name == name or (not member.name and address and address in member.hosts):
            return member
    return None


def trouble(members: t.Sequence[Member], healthy: t.Collection[str], leaving: t.Sequence[Member]) -> str:
    """Why these members cannot leave in this order without costing etcd its majority; empty where they can."""
    rest = [member for member in members if not member.learner]
    for one in leaving:
        rest = [member for member in rest if member.id != one.id]
        silent = [_called(member) for member in rest if member.id not in healthy]
        if len(rest) - len(silent) <= len(rest) // 2:
            return _told(_called(one), len(rest), silent)
    return ""


def _told(leaving: str, rest: int, silent: t.Sequence[str]) -> str:
    return (
        f"Without {leaving}, {rest - len(silent)} of {rest} members of etcd would work, which is no majority: the cluster would stop. "
        + (
            f"No answer comes from {', '.join(sorted(silent))}: bring it back, or remove it first."
            if silent
            else "There is no other."
        )
    )


def _called(member: Member) -> str:
    return member.name or f"the member at {', '.join(member.hosts)}"
