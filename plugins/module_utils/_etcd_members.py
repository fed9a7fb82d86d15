# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All members of etcd, each asked itself: how large its data is, who leads, what it complains of; and their defragmentation."""

from __future__ import annotations

import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import PKI, Etcd, Member
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

# Without an answer of its own, of a quota that is not set.
DEFAULT_QUOTA = 2 * 1024 * 1024 * 1024


class Members:
    """The members of the cluster that this node's member belongs to."""

    def __init__(self, etcd: Etcd, member_at: t.Callable[[str], Etcd], timeout: float = 300) -> None:
        self.etcd = etcd
        self.member_at = member_at
        self.timeout = timeout

    def look(self) -> list[dict[str, t.Any]]:
        """What each member says of itself, sorted by name."""
        members = self.etcd.members()
        alarms = self.etcd.alarms()
        return sorted((self._of(member, alarms) for member in members), key=lambda found: str(found["name"]))

    def _of(self, member: Member, alarms: t.Sequence[tuple[str, str]]) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {
            "name": member.name,
            "id": format(int(member.id), "x"),
            "addresses": list(member.hosts),
            "learner": member.learner,
            "leader": False,
            "version": "",
            "size": 0,
            "in_use": 0,
            "quota": 0,
            "alarms": [alarm for identity, alarm in alarms if identity == member.id],
            "error": "",
        }
        try:
            status = self.member_at(member.hosts[0]).status()
        except (KubesteadError, OSError, IndexError) as error:
            return {**found, "error": str(error)}
        return {
            **found,
            "leader": status.get("leader") == member.id,
            "version": status.get("version", ""),
            "size": int(status.get("dbSize", 0)),
            "in_use": int(status.get("dbSizeInUse", 0)),
            "quota": int(status.get("dbSizeQuota", 0)) or DEFAULT_QUOTA,
            "error": _trouble(status),
        }

    def agree(self) -> None:
        """Wait until all members hold the same at the same revision; raises where they do not."""

        def hashes() -> dict[str, t.Any]:
            try:
                revision = str(self.etcd.status()["header"]["revision"])
                members = self.etcd.members()
                return {member.name: self.member_at(member.hosts[0]).hash_of_keys(revision) for member in members}
            except (KubesteadError, OSError) as error:
                # One that has not heard of the revision yet says so.
                return {"": str(error)}

        wait_for(
            hashes,
            lambda found: "" not in found and len(set(found.values())) == 1,
            "members of etcd that hold the same",
            self.timeout,
        )

    def defragment(self) -> dict[str, t.Any]:
        """Defragment one member after another, the leader last, then take back the alarm that etcd is full."""
        before = self.look()
        ill = [f"{member['name'] or member['id']}: {member['error']}" for member in before if member["error"]]
        if ill:
            raise KubesteadError(
                "Nothing was changed. A member answers nobody while it is defragmented, so that all the others have to be well, and "
                f"this is not so: {'; '.join(ill)}."
            )
        for member in sorted(before, key=lambda member: bool(member["leader"])):
            self._defragment(member)
        freed = {member["name"]: member["size"] for member in before}
        after = self.look()
        disarmed = self._disarm(after)
        return {
            "changed": True,
            "freed": sum(freed.get(member["name"], 0) - member["size"] for member in after),
            "disarmed": disarmed,
            "members": self.look() if disarmed else after,
        }

    def _defragment(self, member: t.Mapping[str, t.Any]) -> None:
        etcd = self.member_at(member["addresses"][0])
        etcd.timeout = self.timeout
        etcd.defragment()
        etcd.timeout = 10
        wait_for(lambda: self._answer(etcd), lambda trouble: not trouble, f"etcd on {member['name']}", self.timeout)

    @staticmethod
    def _answer(etcd: Etcd) -> str:
        try:
            return _trouble(etcd.status())
        except (KubesteadError, OSError) as error:
            return str(error)

    def _disarm(self, members: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
        """Take back the alarm NOSPACE where there is room again; gives the names of the members that had it."""
        full = [member["name"] for member in members if "NOSPACE" in member["alarms"]]
        tight = [member["name"] for member in members if member["size"] >= member["quota"]]
        if full and tight:
            raise KubesteadError(
                f"All members are defragmented, and there still is no room: {', '.join(tight)} has as much data as its quota allows. "
                "So the alarm NOSPACE stays, and etcd takes no writes. Raise quota-backend-bytes of etcd, then run this again."
            )
        if full:
            self.etcd.disarm("NOSPACE")
        return full


def _trouble(status: t.Mapping[str, t.Any]) -> str:
    """What keeps a member from its work; that it is full does not keep it from being defragmented."""
    if status.get("leader", "0") == "0":
        return "it has no leader, which needs more than half of the members"
    return "; ".join(str(error) for error in status.get("errors") or [] if "NOSPACE" not in str(error))


def of_this_node(timeout: float = 300, pki: str = PKI) -> Members:
    """The members, as this control plane reaches them."""
    return Members(Etcd(["localhost"], pki), lambda host: Etcd([host], pki), timeout)
