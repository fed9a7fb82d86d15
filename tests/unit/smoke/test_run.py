"""The course of the smoke test: what is broken fails the check that is about it, and no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke_run import ADVICE

if TYPE_CHECKING:
    from conftest import FakeCluster, Harness

Break = Callable[["FakeCluster"], None]


def _not_ready(cluster: FakeCluster) -> None:
    for condition in cluster.nodes[2]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition.update(
                status="Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status."
            )


def _no_dns_service(cluster: FakeCluster) -> None:
    cluster.dns = [entry for entry in cluster.dns if entry["kind"] != "Service"]
    cluster.unresolved = set(cluster.agents())


def _no_coredns_pods(cluster: FakeCluster) -> None:
    for entry in cluster.dns:
        if entry["kind"] == "Deployment":
            entry["status"].pop("availableReplicas")


def _cut_between_nodes(cluster: FakeCluster) -> None:
    agents = cluster.agents()
    cluster.cut = {(pod, address) for pod in agents for other, address in agents.items() if other != pod}


def _cut_service(cluster: FakeCluster) -> None:
    address = cluster.services[0]["spec"]["clusterIP"]
    cluster.cut = {(pod, address) for pod in cluster.agents()}


def _close_a_node_port(cluster: FakeCluster) -> None:
    cluster.closed = {cluster.nodes[0]["status"]["addresses"][0]["address"]}


def _no_exec(cluster: FakeCluster) -> None:
    cluster.broken = {"exec": "error: unable to upgrade connection"}


def _no_logs(cluster: FakeCluster) -> None:
    cluster.broken = {"logs": "Error from server: dial tcp 192.0.2.21:10250: i/o timeout"}


def _no_scaling(cluster: FakeCluster) -> None:
    cluster.broken = {"scale": "Error from server (InternalError)"}


def _one_forward(cluster: FakeCluster) -> None:
    cluster.unforwarded = {next(iter(cluster.agents()))}


def _stuck(cluster: FakeCluster) -> None:
    cluster.stuck = True


def _no_metrics(cluster: FakeCluster) -> None:
    cluster.unmeasured = {"worker-2"}


def _deaf(cluster: FakeCluster) -> None:
    cluster.deaf = True


def _clinging(cluster: FakeCluster) -> None:
    cluster.clinging = True


BREAKS: dict[str, tuple[Break, set[str], str]] = {
    "a node that is not ready": (_not_ready, {"nodes"}, "worker-2 is not Ready (NodeStatusUnknown: Kubelet stopped"),
    "no DNS service": (_no_dns_service, {"coredns", "dns"}, "lookup agents"),
    "no CoreDNS pods": (_no_coredns_pods, {"coredns"}, "0 of 2 CoreDNS pods are available"),
    "no packets between nodes": (_cut_between_nodes, {"pod-network"}, "context deadline exceeded"),
    "no service address": (_cut_service, {"service"}, "context deadline exceeded"),
    "a closed NodePort": (_close_a_node_port, {"node-port"}, "(control-plane-1): timed out"),
    "no exec": (_no_exec, {"exec"}, "unable to upgrade connection"),
    "no logs": (_no_logs, {"logs"}, "10250: i/o timeout"),
    "no scaling": (_no_scaling, {"scale"}, "InternalError"),
    "a forward that fails": (_one_forward, {"port-forward"}, "error dialing backend"),
    "a node without metrics": (_no_metrics, {"metrics"}, "no metrics of worker-2"),
    "policies that nobody enforces": (_deaf, {"network-policy"}, "is reached in spite of a policy"),
    "a policy that outlives itself": (_clinging, {"network-policy"}, "out of reach after the policy was deleted"),
    "a namespace that stays": (_stuck, {"clean-up"}, "kubestead-smoke is still there"),
}


def test_a_healthy_cluster_passes_every_check(harness: Harness) -> None:
    test = harness.run()
    assert {check.status for check in test.checks} == {"passed"}
    assert [check.name for check in test.checks] == list(ADVICE)
    assert test.ok
    assert len(test.message().splitlines()) == len(ADVICE)


def test_metrics_of_nodes_that_are_not_tested_are_not_expected(harness: Harness) -> None:
    harness.settings = harness.settings._replace(nodes=("control-plane-1", "worker-1"))
    _no_metrics(harness.cluster)
    assert harness.statuses()["metrics"] == "passed"


def test_metrics_are_asked_for_where_they_are_expected_only(harness: Harness) -> None:
    harness.settings = harness.settings._replace(metrics=False)
    harness.cluster.unmeasured = {"worker-2"}
    assert "metrics" not in harness.statuses()


def test_policies_are_tried_where_they_are_expected_only(harness: Harness) -> None:
    harness.settings = harness.settings._replace(policies=False)
    harness.cluster.deaf = True
    assert "network-policy" not in harness.statuses()
    harness.cluster.broken = {"create": "connection refused"}
    assert "network-policy" not in harness.statuses()


@pytest.mark.parametrize("case", BREAKS)
def test_what_is_broken_fails_its_own_checks(case: str, harness: Harness) -> None:
    change, failing, said = BREAKS[case]
    change(harness.cluster)
    test = harness.run()
    assert {check.name for check in test.checks if check.status == "failed"} == failing
    # Policies are tried from within pods.
    assert {check.name for check in test.checks if check.status == "not run"} == (
        {"network-policy"} if "exec" in failing else set()
    )
    assert not test.ok
    assert said in test.message()
    for name in failing:
        assert f"{name}: {ADVICE[name]}" in test.message()


@pytest.mark.parametrize("case", BREAKS)
def test_always_cleans_up(case: str, harness: Harness) -> None:
    BREAKS[case][0](harness.cluster)
    test = harness.run()
    assert "clean-up" in {check.name for check in test.checks}
    assert harness.cluster.calls.count("delete") == 1
    assert harness.cluster.open_forwards == set()


def test_without_the_api_server_the_rest_is_not_run(harness: Harness) -> None:
    harness.cluster.broken = {"create": "connection refused"}
    assert harness.statuses() == {
        **dict.fromkeys(ADVICE, "not run"),
        "nodes": "passed",
        "deploy": "failed",
        "clean-up": "passed",
        "coredns": "passed",
        "metrics": "passed",
    }


def test_without_a_pod_the_rest_is_not_run_and_the_pods_are_explained(harness: Harness) -> None:
    for pod in harness.cluster.pods:
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        pod["status"]["containerStatuses"][0]["state"] = {
            "waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
        }
    harness.cluster.events = [
        {
            "type": "Warning",
            "reason": "Failed",
            "lastTimestamp": "2026-11-21T06:00:00Z",
            "message": "not found",
            "involvedObject": {"kind": "Pod", "name": "agents-x"},
        }
    ]
    test = harness.run()
    statuses = {check.name: check.status for check in test.checks}
    assert statuses["pods"] == "failed"
    assert statuses["exec"] == statuses["scale"] == "not run"
    assert "agnhost is waiting (ImagePullBackOff: Back-off pulling image)" in test.message()
    assert "event Failed for Pod agents-x: not found" in test.message()


def test_without_any_forward_the_checks_that_need_one_are_not_run(harness: Harness) -> None:
    harness.cluster.unforwarded = set(harness.cluster.agents())
    statuses = harness.statuses()
    assert [statuses[name] for name in ("port-forward", "pod-network", "service")] == ["failed", "not run", "not run"]
    assert statuses["dns"] == "passed"
    assert statuses["node-port"] == statuses["scale"] == "passed"


def test_waits_for_what_is_not_there_yet(harness: Harness) -> None:
    _cut_between_nodes(harness.cluster)

    def heal(cluster: FakeCluster) -> None:
        if cluster.now > 2:
            cluster.cut = set()

    original = harness.cluster.sleep

    def sleep(seconds: float) -> None:
        original(seconds)
        heal(harness.cluster)

    harness.cluster.sleep = sleep  # type: ignore[method-assign]
    assert set(harness.statuses().values()) == {"passed"}
    assert harness.cluster.now > 2


def test_is_bounded_where_nothing_ever_works(harness: Harness) -> None:
    _not_ready(harness.cluster)
    _no_coredns_pods(harness.cluster)
    _cut_between_nodes(harness.cluster)
    _stuck(harness.cluster)
    harness.run()
    assert harness.cluster.now < harness.settings.timeout + harness.settings.cleanup_timeout + 15


def test_deletes_what_an_interrupted_test_left(harness: Harness) -> None:
    harness.cluster.namespaces = [
        {"metadata": {"name": "kubestead-smoke", "labels": {"kubestead.io/owner": "smoke-test"}}}
    ]
    assert harness.run().ok
    assert harness.cluster.calls.count("delete") == 2


def test_forgets_pods_whose_node_never_says_that_they_ended(harness: Harness) -> None:
    harness.cluster.dead_pods = True
    assert harness.run().ok
    assert harness.cluster.calls.count("forget") == 1


def test_does_not_forget_pods_that_end_by_themselves(harness: Harness) -> None:
    harness.run()
    assert "forget" not in harness.cluster.calls


def test_says_in_the_end_which_node_died_meanwhile(harness: Harness) -> None:
    def die(cluster: FakeCluster) -> None:
        if "scale" in cluster.calls:
            _not_ready(cluster)

    harness.cluster.before_get = die
    _close_a_node_port(harness.cluster)
    assert "\nworker-2 is not Ready (NodeStatusUnknown" in harness.run().message()


def test_leaves_a_namespace_alone_that_is_not_its_own(harness: Harness) -> None:
    harness.cluster.namespaces = [{"metadata": {"name": "kubestead-smoke"}}]
    with pytest.raises(KubesteadError, match="is not the smoke test's"):
        harness.run()
    assert "delete" not in harness.cluster.calls
    assert "create" not in harness.cluster.calls


def test_a_single_node_has_nobody_to_reach(harness: Harness) -> None:
    cluster = harness.cluster
    node = copy.deepcopy(cluster.nodes[1])
    cluster.nodes = [node]
    cluster.pods = [
        pod for pod in cluster.pods if pod["spec"]["nodeName"] == "worker-1" or "scaled" in pod["metadata"]["name"]
    ]
    harness.settings = harness.settings._replace(nodes=["worker-1"])
    checks = {check.name: check for check in harness.run().checks}
    assert {check.status for check in checks.values()} == {"passed"}
    assert checks["pod-network"].detail == "one node only, nobody to reach"


def test_a_pod_on_a_node_that_is_not_tested_may_answer_for_the_service(harness: Harness) -> None:
    answering = next(iter(harness.cluster.agents()))
    node = next(pod["spec"]["nodeName"] for pod in harness.cluster.pods if pod["metadata"]["name"] == answering)
    harness.settings = harness.settings._replace(nodes=[name for name in harness.settings.nodes if name != node])
    assert set(harness.statuses().values()) == {"passed"}


def test_a_tainted_control_plane_gets_no_pod_but_answers_on_its_node_port(harness: Harness) -> None:
    checks = {check.name: check for check in harness.run().checks}
    assert checks["pods"].detail == "on 2 nodes, not on control-plane-1"
    assert checks["node-port"].detail.endswith("of 3 nodes")


def test_an_interruption_cleans_up_too(harness: Harness) -> None:
    def interrupt(deployment: str, replicas: int) -> None:
        raise KeyboardInterrupt

    harness.cluster.scale = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        harness.run()
    assert harness.cluster.namespaces == []
    assert harness.cluster.open_forwards == set()
