"""How the smoke test reads what a cluster answers, and what it deploys."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke import (
    Check,
    Pod,
    dialled,
    dns_problems,
    event_lines,
    node_problems,
    objects,
    pod_troubles,
    repels,
    schedulable,
    table,
    targets,
)


def _node(name: str, ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "cni"}]},
    }


def test_nodes_that_are_missing_or_not_ready_are_named() -> None:
    nodes = [_node("a"), _node("b", "False"), _node("stranger", "False")]
    assert node_problems(nodes, ["a", "b", "c"]) == [
        "c is not in the cluster",
        "b is not Ready (KubeletNotReady: cni)",
    ]
    assert node_problems(nodes, []) == [f"{name} is not Ready (KubeletNotReady: cni)" for name in ("b", "stranger")]


def test_a_node_without_conditions_is_not_ready() -> None:
    assert node_problems([{"metadata": {"name": "a"}, "spec": {}, "status": {}}], ["a"]) == [
        "a is not Ready (no reason given)"
    ]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, ""),
        ({"unschedulable": True}, "cordoned"),
        ({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}, "gpu:NoSchedule"),
        ({"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}, ""),
        ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, ""),
        (
            {"taints": [{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]},
            "node.kubernetes.io/disk-pressure:NoSchedule",
        ),
    ],
)
def test_what_keeps_pods_off_a_node(spec: dict[str, Any], reason: str) -> None:
    assert repels(_node("a", **spec)) == reason
    assert schedulable([_node("a", **spec)], []) == ([] if reason else ["a"])


def test_a_node_that_is_not_ready_is_not_waited_for_again() -> None:
    assert schedulable([_node("a"), _node("b", "Unknown")], []) == ["a"]


def test_only_wanted_nodes_are_tested() -> None:
    assert schedulable([_node("a"), _node("b")], ["b"]) == ["b"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('{"responses":["pod-a"]}', None),
        ('{"responses":["pod-a\\n"]}', None),
        ('{"responses":["pod-b"]}', "'pod-b' answered instead"),
        ('{"errors":["connection refused"]}', "connection refused"),
        ("{}", "no answer"),
        (
            "host and/or port param are invalid. lookup x: no such host\n",
            "host and/or port param are invalid. lookup x: no such host",
        ),
        ("", "an empty answer"),
    ],
)
def test_what_an_agent_tells_of_dialling_another(body: str, complaint: str | None) -> None:
    assert dialled(body, ["pod-a"]) == complaint


def test_everybody_reaches_everybody_in_a_small_cluster() -> None:
    pods = [Pod(name, name, name) for name in "abc"]
    assert {(one.name, other.name) for one, other in targets(pods)} == {
        (one, other) for one in "abc" for other in "abc" if one != other
    }


def test_each_further_node_costs_the_same_in_a_large_cluster() -> None:
    pods = [Pod(str(number), str(number), str(number)) for number in range(50)]
    pairs = targets(pods)
    assert len(pairs) == 50 * 4
    assert len(set(pairs)) == len(pairs)
    assert {other.name for _, other in pairs} == {pod.name for pod in pods}


def test_one_node_reaches_nobody() -> None:
    assert targets([Pod("a", "a", "a")]) == []


def test_the_last_warnings_are_told_once() -> None:
    def event(second: int, message: str, kind: str = "Warning") -> dict[str, Any]:
        return {
            "type": kind,
            "reason": "Failed",
            "message": message,
            "lastTimestamp": f"2026-11-21T06:00:0{second}Z",
            "involvedObject": {"kind": "Pod", "name": "a"},
        }

    events = [event(3, "late"), event(1, "early"), event(2, "early"), event(4, "fine", "Normal")]
    assert event_lines(events) == ["event Failed for Pod a: early", "event Failed for Pod a: late"]
    assert event_lines(events, count=1) == ["event Failed for Pod a: late"]


def test_a_pod_that_nobody_can_place_says_why() -> None:
    pod = {
        "metadata": {"namespace": "n", "name": "p"},
        "spec": {},
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
            ],
        },
    }
    assert pod_troubles([pod]) == ["pod n/p on no node: Unschedulable: 0/1 nodes"]


def test_a_finished_pod_is_no_trouble() -> None:
    pod = {"metadata": {"namespace": "n", "name": "p"}, "spec": {}, "status": {"phase": "Succeeded"}}
    assert pod_troubles([pod]) == []


def test_the_table_is_aligned() -> None:
    lines = table([Check("dns", "passed", 0.25, "fine"), Check("node-port", "not run", 0, "nothing")])
    assert lines == [
        "passed   dns          0.2 s  fine",
        "not run  node-port    0.0 s  nothing",
    ]


def test_everything_deployed_is_marked_and_lies_in_the_namespace() -> None:
    deployed = objects("ns", "registry.example/agnhost:1")
    assert [entry["kind"] for entry in deployed] == [
        "Namespace",
        "ServiceAccount",
        "DaemonSet",
        "Deployment",
        "Service",
    ]
    for entry in deployed:
        assert entry["metadata"]["labels"] == {"kubestead.io/owner": "smoke-test"}
        assert entry["metadata"].get("namespace", "ns") == "ns"
    for workload in deployed[2:4]:
        pod = workload["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == "registry.example/agnhost:1"
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert "tolerations" not in pod


@pytest.mark.parametrize(
    ("available", "ready", "problems"),
    [
        (2, "True", []),
        (1, "True", ["1 of 2 CoreDNS pods are available"]),
        (1, "Unknown", []),
        (0, "Unknown", ["0 of 2 CoreDNS pods are available"]),
    ],
)
def test_a_lost_node_may_have_taken_one_pod_of_the_dns_with_it(available: int, ready: str, problems: list[str]) -> None:
    deployment = {"kind": "Deployment", "spec": {"replicas": 2}, "status": {"availableReplicas": available}}
    nodes = [_node("a", ready), _node("b")]
    assert dns_problems([{"kind": "Service"}, deployment], nodes) == problems
