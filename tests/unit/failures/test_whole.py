"""What counts as a whole cluster."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from ...integration.failures.whole import (
    Balancer,
    balancer_defects,
    member_defects,
    node_defects,
    read_balancer,
    read_servers,
    upstream,
    wait_until_steady,
)

CONTROL_PLANES = ("control-plane-1", "control-plane-2")
STATISTICS = """\
# pxname,svname,qcur,status,type,
kubernetes-api,FRONTEND,,OPEN,0,
control-planes,control-plane-1,0,UP,2,
control-planes,control-plane-2,0,UP 1/2,2,
control-planes,BACKEND,0,UP,1,
statistics,FRONTEND,,OPEN,0,

"""
LINKS = json.dumps(
    [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
        {"ifname": "eth0", "addr_info": [{"local": "192.0.2.5"}, {"local": "192.0.2.10"}]},
    ]
)


def test_servers_are_told_from_what_else_haproxy_counts() -> None:
    assert read_servers(STATISTICS) == {"control-plane-1": "UP", "control-plane-2": "UP 1/2"}
    assert read_servers("") == {}


def test_a_load_balancer() -> None:
    balancer = read_balancer(f"{LINKS}\n---\nactive\nactivating\n---\n{STATISTICS}")
    assert balancer.addresses == {"127.0.0.1", "192.0.2.5", "192.0.2.10"}
    assert balancer_defects("load-balancer-1", balancer, CONTROL_PLANES) == [
        "keepalived on load-balancer-1 is activating",
        "haproxy on load-balancer-1 has control-plane-2 UP 1/2",
    ]


def test_a_load_balancer_whose_haproxy_does_not_answer() -> None:
    balancer = read_balancer(f"{LINKS}\n---\nfailed\nactive\n---\n")
    assert balancer_defects("load-balancer-1", balancer, CONTROL_PLANES[:1]) == [
        "haproxy on load-balancer-1 is failed",
        "haproxy on load-balancer-1 has control-plane-1 not at all",
    ]


def test_a_load_balancer_that_is_off_and_one_that_lacks_nothing() -> None:
    assert balancer_defects("load-balancer-1", None, CONTROL_PLANES) == ["load-balancer-1 cannot be looked at"]
    running = {"haproxy": "active", "keepalived": "active"}
    whole = Balancer(frozenset(), running, dict.fromkeys(CONTROL_PLANES, "UP"))
    assert balancer_defects("load-balancer-1", whole, CONTROL_PLANES) == []


def member(number: int, **more: Any) -> dict[str, Any]:
    return {"ID": str(number), "name": f"control-plane-{number}", **more}


@pytest.mark.parametrize(
    ("members", "defects"),
    [
        ([member(1), member(2)], []),
        ([member(1)], ["etcd has 1 voting members of 2"]),
        ([member(1), member(2), member(3)], ["etcd has 3 voting members of 2"]),
        # One that has never started has no name yet.
        ([member(1), {"ID": "2"}], ["etcd has 1 voting members of 2"]),
        (
            [member(1), member(2, isLearner=True)],
            ["etcd has 1 voting members of 2", "etcd's member control-plane-2 is a learner"],
        ),
    ],
)
def test_members_of_etcd(members: list[dict[str, Any]], defects: list[str]) -> None:
    assert member_defects({"members": members}, 2) == defects


def node(name: str, ready: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_nodes_are_ready_and_heard_of_since() -> None:
    nodes = {"items": [node("a", "True"), node("b", "Unknown")]}
    leases = {"items": [{"metadata": {"name": "a"}, "spec": {"renewTime": "1970-01-01T00:01:40.500000Z"}}]}
    assert node_defects(nodes, leases, ["a"], {"a": 100.0}) == []
    assert node_defects(nodes, leases, ["a", "b", "c"], {"a": 101.0, "b": 0.0}) == [
        "node b is not Ready",
        "node c is not Ready",
        "the kubelet of a has not reported again",
        "the kubelet of b has not reported again",
    ]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def steady(missing: str, least: float = 0, within: float = 20) -> tuple[float | None, tuple[str, ...]]:
    """The wait for a cluster that each half second lacks something where the word has an x, and nothing after its end."""
    time = Time()
    looks = itertools.chain(([letter] if letter == "x" else [] for letter in missing), itertools.repeat([]))
    found = wait_until_steady(lambda: next(looks), least=least, within=within, clock=time.clock, sleep=time.sleep)
    return found.seconds, found.missing


def test_whole_is_what_stays_whole() -> None:
    assert steady("") == (0.0, ())
    assert steady("xxxx") == (2.0, ())
    assert steady("x.x.....x") == (4.5, ()), "a lull is not the end"


def test_a_failure_that_shows_late_is_waited_for() -> None:
    assert steady(".........xx", least=0) == (0.0, ())
    assert steady(".........xx", least=8) == (5.5, ())


def test_a_cluster_that_does_not_heal_is_given_up() -> None:
    assert steady("x" * 1000) == (None, ("x",))
    assert steady("x....." * 200) == (None, ("steadiness",))


def test_versions_are_those_of_upstream() -> None:
    assert (upstream("1:2.2.7-1+b2"), upstream("2.6.12-1+deb12u4")) == ("2.2.7", "2.6.12")
