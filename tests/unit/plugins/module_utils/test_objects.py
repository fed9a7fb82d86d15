"""Objects: identity, change, readiness, and what a diff may show."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _objects as objects
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Identity


def thing(kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": "a",
            "namespace": "demo",
            "uid": "1",
            "resourceVersion": "5",
            "generation": 2,
            "managedFields": [{"manager": "kubestead", "time": "t1", "fieldsV1": {"f:data": {}}}],
        },
    }
    return {**made, **more}


def test_identity_counts_default_as_no_namespace_and_ignores_versions() -> None:
    one = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    other = {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"}}
    assert Identity.of(one) == Identity.of(other)
    assert str(Identity.of(thing())) == "ConfigMap demo/a"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("text", "it is a str"),
        (None, "it is a NoneType"),
        ({"kind": "Pod", "metadata": {"name": "a"}}, "no apiVersion"),
        ({"apiVersion": "v1", "metadata": {"name": "a"}}, "no kind"),
        ({"apiVersion": "v1", "kind": "Pod"}, "the Pod has no metadata.name"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 3}}, "the Pod has no metadata.name"),
    ],
)
def test_what_is_no_object_is_explained(wrong: Any, why: str) -> None:
    assert why in (objects.problem(wrong) or "")


def test_labels_are_added_to_a_copy() -> None:
    before = thing()
    after = objects.labelled(before, "kubestead.io/owner", "x")
    assert after["metadata"]["labels"] == {"kubestead.io/owner": "x"}
    assert "labels" not in before["metadata"]


def test_nothing_done_is_no_change() -> None:
    assert not objects.differs(thing(data={"a": "1"}), thing(data={"a": "1"}), "kubestead")


def test_a_status_that_a_controller_wrote_meanwhile_is_no_change_of_ours() -> None:
    after = thing(status={"replicas": 1})
    after["metadata"]["resourceVersion"] = "6"
    after["metadata"]["managedFields"] += [
        {"manager": "kube-controller-manager", "subresource": "status", "fieldsV1": {}}
    ]
    after["metadata"]["managedFields"][0]["time"] = "t2"
    assert not objects.differs(thing(), after, "kubestead")


def test_content_ownership_and_replacement_are_changes() -> None:
    content = thing(data={"a": "2"})
    ownership = copy.deepcopy(thing())
    ownership["metadata"]["managedFields"][0]["fieldsV1"] = {"f:data": {"f:a": {}}}
    ownership["metadata"]["resourceVersion"] = "6"
    replaced = copy.deepcopy(thing())
    replaced["metadata"]["uid"] = "2"
    for after in (content, ownership, replaced):
        assert objects.differs(thing(data={"a": "1"}) if after is content else thing(), after, "kubestead")


def test_a_diff_hides_secrets_and_still_tells_which_key_changed() -> None:
    before = thing("Secret", data={"same": "czE=", "other": "czI="})
    after = thing("Secret", data={"same": "czE=", "other": "czM=", "new": "czQ="})
    shown = objects.difference(Identity.of(before), before, after)
    assert not any(value in str(shown) for value in ("czE=", "czI=", "czM=", "czQ="))
    assert '"same": "(hidden)"' in shown["after"]
    assert '"other": "(hidden, changed)"' in shown["after"]
    assert "resourceVersion" not in shown["after"]


def test_a_diff_of_a_creation_begins_with_nothing() -> None:
    shown = objects.difference(Identity.of(thing()), None, thing(data={"a": "1"}))
    assert shown["before"] == ""
    assert '"a": "1"' in shown["after"]


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "w", "generation": 3},
        "spec": spec,
        "status": status,
    }


@pytest.mark.parametrize(
    ("made", "lack"),
    [
        (workload("Deployment", {"replicas": 2}, {"observedGeneration": 2}), "not looked at"),
        (
            workload("Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 1}),
            "1 of 2 pods are of the wanted",
        ),
        (
            workload(
                "Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 1}
            ),
            "1 of 2 pods are ready",
        ),
        (
            workload(
                "Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 2}
            ),
            None,
        ),
        (workload("Deployment", {"replicas": 0}, {"observedGeneration": 3}), None),
        (
            workload(
                "DaemonSet", {}, {"observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
            ),
            "0 of 2",
        ),
        (
            workload(
                "DaemonSet",
                {},
                {
                    "observedGeneration": 3,
                    "desiredNumberScheduled": 2,
                    "updatedNumberScheduled": 2,
                    "numberAvailable": 2,
                },
            ),
            None,
        ),
        (workload("StatefulSet", {}, {"observedGeneration": 3, "updatedReplicas": 1}), "0 of 1 pods are ready"),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Pending"}},
            "not Ready yet",
        ),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Succeeded"}}, None),
        (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}, "status": {"phase": "Terminating"}},
            "Terminating",
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}, None),
    ],
)
def test_readiness(made: dict[str, Any], lack: str | None) -> None:
    found = objects.not_ready(made)
    assert found is None if lack is None else lack in (found or "")


def test_a_daemon_set_is_ready_without_the_nodes_that_are_off() -> None:
    numbers = {"desiredNumberScheduled": 5, "numberAvailable": 4, "updatedNumberScheduled": 4, "observedGeneration": 1}
    made = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "generation": 1}, "status": numbers}
    assert objects.not_ready(made) == "4 of 5 pods are of the wanted version"
    assert objects.not_ready(made, silent_nodes=1) is None
    unseen = {**made, "status": {**numbers, "observedGeneration": 0}}
    assert objects.not_ready(unseen, silent_nodes=1) == "not looked at by its controller yet"


def test_a_node_that_only_lacks_its_network_is_not_off() -> None:
    for status, silent in (("Unknown", True), ("False", False), ("True", False)):
        assert objects.is_silent({"status": {"conditions": [{"type": "Ready", "status": status}]}}) is silent


def test_a_failed_job_is_not_waited_for() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": [condition]}}
    assert objects.failed(job) == "BackoffLimitExceeded: too often"


def test_troubles_of_pods() -> None:
    waiting = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    quiet = {"name": "d", "state": {"waiting": {"reason": "ContainerCreating"}}}
    pods = [
        {"metadata": {"name": "p"}, "status": {"containerStatuses": [waiting, quiet]}},
        {
            "metadata": {"name": "q"},
            "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
        },
    ]
    assert objects.pod_troubles(pods) == [
        "pod p, container c: ImagePullBackOff no such image",
        "pod q is not scheduled: 0/1 nodes",
    ]
