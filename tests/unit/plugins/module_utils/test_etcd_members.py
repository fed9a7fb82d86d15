"""Members of etcd: what each says of itself, and their defragmentation, one at a time."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_members import Members
from ansible_collections.kubestead.cluster.plugins.modules import etcd_defragment

MEBIBYTE = 1024 * 1024


class Cluster:
    """Three members; defragmentation makes a member as small as what it uses, and leaves it dazed for one question."""

    def __init__(self) -> None:
        self.sizes = {"10.0.0.1": 40 * MEBIBYTE, "10.0.0.2": 30 * MEBIBYTE, "10.0.0.3": 20 * MEBIBYTE}
        self.leader = "10.0.0.1"
        self.silent: set[str] = set()
        self.dazed: set[str] = set()
        self.full: list[str] = []
        self.quota = "2147483648"
        self.happened: list[str] = []
        self.hashes: dict[str, list[Any]] = {}

    def at(self, host: str) -> Etcd:
        return Scripted(self, host)

    @property
    def members(self) -> Members:
        return Members(self.at("10.0.0.2"), self.at, timeout=5)

    @staticmethod
    def number(host: str) -> str:
        return str(1000 + int(host[-1]))


class Scripted(Etcd):
    def __init__(self, cluster: Cluster, host: str) -> None:
        super().__init__([host])
        self.cluster = cluster

    def _try(self, host: str, path: str, question: Any, failures: list[str]) -> dict[str, Any] | None:
        cluster = self.cluster
        if path == "/v3/cluster/member/list":
            return {
                "members": [
                    {"ID": cluster.number(one), "name": f"control-plane-{one[-1]}", "peerURLs": [f"https://{one}:2380"]}
                    for one in reversed(cluster.sizes)
                ]
            }
        if path == "/v3/maintenance/alarm" and question["action"] == "DEACTIVATE":
            cluster.happened.append(f"disarm {question['memberID']}")
            cluster.full = [one for one in cluster.full if cluster.number(one) != question["memberID"]]
            return {}
        if path == "/v3/maintenance/alarm":
            return {"alarms": [{"memberID": cluster.number(one), "alarm": "NOSPACE"} for one in cluster.full]}
        if host in cluster.silent:
            failures.append(f"{host}: timed out")
            return None
        if path == "/v3/maintenance/hashkv":
            assert question == {"revision": "304"}
            told = cluster.hashes.get(host, [7])
            answer = told.pop(0) if len(told) > 1 else told[0]
            if answer is None:
                failures.append(f"{host}: required revision is a future revision")
            return {"hash": answer, "compact_revision": "300"} if answer else None
        if path == "/v3/maintenance/defragment":
            cluster.happened.append(f"defragment {host}")
            cluster.sizes[host] = 10 * MEBIBYTE
            cluster.dazed.add(host)
            return {}
        if host in cluster.dazed:
            cluster.dazed.remove(host)
            cluster.happened.append(f"wait for {host}")
            failures.append(f"{host}: busy")
            return None
        errors = [f"memberID:{cluster.number(one)} alarm:NOSPACE " for one in cluster.full]
        return {
            "header": {"revision": "304"},
            "leader": cluster.number(cluster.leader),
            "version": "3.6.8",
            "dbSize": str(cluster.sizes[host]),
            "dbSizeInUse": str(10 * MEBIBYTE),
            "dbSizeQuota": cluster.quota,
            "errors": errors,
        }


def test_each_member_tells_of_itself() -> None:
    cluster = Cluster()
    cluster.silent = {"10.0.0.3"}
    cluster.full = ["10.0.0.2"]
    first, second, third = cluster.members.look()
    assert first == {
        "name": "control-plane-1",
        "id": "3e9",
        "addresses": ["10.0.0.1"],
        "learner": False,
        "leader": True,
        "version": "3.6.8",
        "size": 40 * MEBIBYTE,
        "in_use": 10 * MEBIBYTE,
        "quota": 2 * 1024 * MEBIBYTE,
        "alarms": [],
        "error": "",
    }
    assert (second["leader"], second["alarms"], second["error"]) == (False, ["NOSPACE"], "")
    assert (third["size"], "timed out" in third["error"]) == (0, True)


def test_one_at_a_time_and_the_leader_last() -> None:
    cluster = Cluster()
    told = cluster.members.defragment()
    order = ["10.0.0.2", "10.0.0.3", "10.0.0.1"]
    assert cluster.happened == [f"{what} {host}" for host in order for what in ("defragment", "wait for")]
    assert (told["changed"], told["freed"], told["disarmed"]) == (True, 60 * MEBIBYTE, [])


def test_the_alarm_goes_once_there_is_room() -> None:
    cluster = Cluster()
    cluster.full = ["10.0.0.1", "10.0.0.3"]
    told = cluster.members.defragment()
    assert told["disarmed"] == ["control-plane-1", "control-plane-3"]
    assert cluster.happened[-2:] == ["disarm 1001", "disarm 1003"]
    assert [member["alarms"] for member in told["members"]] == [[], [], []]


def test_the_alarm_stays_where_there_is_none() -> None:
    cluster = Cluster()
    cluster.full, cluster.quota = ["10.0.0.1"], str(10 * MEBIBYTE)
    with pytest.raises(KubesteadError, match="Raise quota-backend-bytes"):
        cluster.members.defragment()
    assert cluster.full == ["10.0.0.1"]


def test_with_a_member_that_is_not_well_nothing_is_begun() -> None:
    cluster = Cluster()
    cluster.silent = {"10.0.0.3"}
    with pytest.raises(KubesteadError, match=r"Nothing was changed.*control-plane-3: .*timed out"):
        cluster.members.defragment()
    assert cluster.happened == []


def test_check_mode_tells_what_could_be_freed() -> None:
    cluster = Cluster()
    told = etcd_defragment.perform(cluster.members, check_mode=True)
    assert (told["changed"], told["freed"]) == (True, 60 * MEBIBYTE)
    assert cluster.happened == []


def test_members_that_hold_the_same_agree_also_where_one_hears_of_it_later() -> None:
    cluster = Cluster()
    cluster.hashes = {"10.0.0.3": [None, 8, 7]}
    cluster.members.agree()


def test_members_that_differ_are_told() -> None:
    cluster = Cluster()
    cluster.hashes = {"10.0.0.3": [8]}
    members = cluster.members
    members.timeout = 0.1
    with pytest.raises(KubesteadError, match=r"hold the same.*'control-plane-3': \('8', '300'\)"):
        members.agree()
