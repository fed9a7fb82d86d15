"""A node is drained with respect for budgets, within its time, or left as it was."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _drain, _waiter
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._drain import CORDONED, Drain

UIDS = itertools.count()


def pod(name: str, kind: str = "ReplicaSet", **changes: Any) -> dict[str, Any]:
    """A pod that runs on the node and is ready."""
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{next(UIDS)}", "labels": {"app": "web"}}
    if kind:
        metadata["ownerReferences"] = [{"kind": kind, "name": "owner", "controller": True}]
    metadata.update(changes.get("metadata", {}))
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], **changes.get("status", {})}
    return {"kind": "Pod", "metadata": metadata, "spec": changes.get("spec", {}), "status": status}


def budget(name: str = "web", desired: int = 1, expected: int = 2, allowed: int = 1) -> dict[str, Any]:
    """A budget for all pods with the label app=web, as the disruption controller judged it."""
    numbers = {"desiredHealthy": desired, "currentHealthy": expected, "expectedPods": expected}
    return {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default", "generation": 1},
        "spec": {"minAvailable": desired, "selector": {"matchLabels": {"app": "web"}}},
        "status": {**numbers, "disruptionsAllowed": allowed, "observedGeneration": 1},
    }


class Api:
    """A cluster with one node, behind kubectl's commands; a pod that may go is gone at the next look."""

    def __init__(self, kubeconfig: str, *pods: dict[str, Any], **params: Any) -> None:
        self.check_mode = False
        defaults = {"state": "drained", "timeout": 5, "dead": False, "force": True, "delete_emptydir_data": True}
        self.params = {"name": "worker-1", "kubeconfig": kubeconfig, **defaults, **params}
        self.node: dict[str, Any] = {
            "kind": "Node",
            "metadata": {"name": "worker-1"},
            "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T08:00:00Z"}]
            },
        }
        self.exists = True
        self.pods = list(pods)
        self.budgets: list[dict[str, Any]] = []
        self.heartbeats: Iterator[int] = itertools.repeat(1)
        self.changes: list[str] = []
        self.evictions: list[Any] = []
        self.stubborn = False
        self.failures = 0

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], data: str | None = None, **_options: Any) -> tuple[int, str, str]:
        verb, what = command[1:3]
        if verb == "get":
            return self.get(what)
        self.changes.append(verb)
        if verb == "patch":
            patch = json.loads(command[command.index("--patch") + 1])
            self.node["spec"]["unschedulable"] = patch["spec"]["unschedulable"]
            self.node["metadata"]["annotations"] = {k: v for k, v in patch["metadata"]["annotations"].items() if v}
            return 0, "", ""
        return self.evict(command, json.loads(data or ""))

    def get(self, what: str) -> tuple[int, str, str]:
        if what == "pods" and self.changes and self.failures:
            self.failures -= 1
            return 1, "", "The connection to the server was refused"
        items = {
            "node": [self.node] if self.exists else [],
            "pods": self.pods,
            "poddisruptionbudgets": self.budgets,
            "lease": [{"kind": "Lease", "spec": {"renewTime": str(next(self.heartbeats))}}],
        }[what]
        return 0, json.dumps({"kind": "List", "items": items}), ""

    def evict(self, command: list[str], question: dict[str, Any]) -> tuple[int, str, str]:
        self.evictions.append(question)
        name = command[3].split("/")[6]
        (found,) = [pod for pod in self.pods if pod["metadata"]["name"] == name]
        wanted = question.get("deleteOptions", question)["preconditions"]["uid"]
        assert wanted == found["metadata"]["uid"]
        for one in self.budgets if command[1] == "create" else ():
            if not one["status"]["disruptionsAllowed"]:
                return 1, "", "Cannot evict pod as it would violate the pod's disruption budget."
            one["status"]["disruptionsAllowed"] -= 1
        if self.stubborn:
            found["metadata"].update(deletionTimestamp="2026-11-21T09:00:00Z", deletionGracePeriodSeconds=600)
        else:
            self.pods.remove(found)
        return 0, "", ""

    def report(self, ready: str) -> None:
        self.node["status"]["conditions"][0]["status"] = ready

    def drain(self) -> dict[str, Any]:
        module: Any = self
        return Drain(module).perform()


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "admin.conf"
    path.touch()
    return str(path)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes only while one waits."""
    now = [0.0]

    def hurried(*arguments: Any, **options: Any) -> Any:
        return _waiter.wait_for(
            *arguments, **options, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)
        )

    monkeypatch.setattr(_drain, "wait_for", hurried)
    monkeypatch.setattr(_drain.time, "monotonic", lambda: now[0])


def test_pods_go_and_those_of_daemon_sets_and_files_stay(kubeconfig: str) -> None:
    mirror = pod("etcd", "Node", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
    api = Api(kubeconfig, pod("web-1"), pod("lone", ""), pod("proxy", "DaemonSet"), mirror)
    result = api.drain()
    assert result == {
        "changed": True,
        "exists": True,
        "was_schedulable": True,
        "evicted": ["default/lone", "default/web-1"],
        "kept": [
            {"pod": "default/proxy", "reason": "DaemonSet"},
            {"pod": "default/etcd", "reason": "static pod"},
        ],
        "uncontrolled": ["default/lone"],
    }
    assert api.node["spec"]["unschedulable"] is True
    again = api.drain()
    assert (again["changed"], again["evicted"], again["was_schedulable"]) == (False, [], True)


def test_a_node_that_its_administrator_cordoned_is_told_from_ours(kubeconfig: str) -> None:
    api = Api(kubeconfig)
    api.node["spec"]["unschedulable"] = True
    assert api.drain()["was_schedulable"] is False
    assert api.changes == []


def test_cordon_and_uncordon(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"), state="cordoned")
    assert [api.drain()["changed"] for _time in range(2)] == [True, False]
    assert CORDONED in api.node["metadata"]["annotations"]
    api.params["state"] = "uncordoned"
    assert [api.drain()["changed"] for _time in range(2)] == [True, False]
    assert api.node["metadata"]["annotations"] == {}
    assert len(api.pods) == 1


def test_a_budget_is_waited_for(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"), pod("web-2"))
    api.budgets = [budget(expected=3, allowed=0)]
    rounds = itertools.count()

    def get(what: str) -> tuple[int, str, str]:
        if what == "pods" and next(rounds) in (2, 4):
            api.budgets[0]["status"]["disruptionsAllowed"] = 1
        return Api.get(api, what)

    api.get = get  # type: ignore[method-assign]
    assert api.drain()["evicted"] == ["default/web-1", "default/web-2"]


def test_a_budget_that_never_lets_go_is_refused_at_once(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("other", metadata={"labels": {}}), pod("web-1"))
    api.budgets = [budget(desired=2, expected=2, allowed=0)]
    with pytest.raises(
        KubesteadError, match=r"(?s)however long one waits. Nothing was changed.*default/web-1 is held"
    ) as error:
        api.drain()
    assert (
        "the PodDisruptionBudget default/web (minAvailable: 2): it wants 2 of 2 pods healthy, 2 are, so 0 may go"
        in error.value.message
    )
    assert "kubectl edit poddisruptionbudget web --namespace default" in error.value.message
    assert error.value.details["blocked"][0]["budget"] == "default/web"
    assert api.changes == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": {"phase": "Pending"}},
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        {"metadata": {"deletionTimestamp": "x"}},
    ],
    ids=["not-begun", "not-ready", "ending"],
)
def test_a_pod_that_may_go_by_other_rules_is_tried(kubeconfig: str, changes: dict[str, Any]) -> None:
    api = Api(kubeconfig, pod("web-1", **changes))
    api.budgets = [budget(desired=2, expected=2, allowed=0)]
    with pytest.raises(KubesteadError, match="was not empty after 5 s"):
        api.drain()


def test_a_budget_that_is_not_judged_yet_is_tried(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.budgets = [budget(desired=2, expected=2, allowed=1)]
    api.budgets[0]["metadata"]["generation"] = 2
    assert api.drain()["evicted"] == ["default/web-1"]


def test_two_budgets_for_one_pod_are_refused(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.budgets = [budget(), budget("second")]
    with pytest.raises(KubesteadError, match="two PodDisruptionBudgets, default/web and default/second"):
        api.drain()
    assert api.changes == []


def test_when_the_time_is_over_the_node_is_as_it_was(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("free", metadata={"labels": {}, "namespace": "other"}), pod("web-1"), pod("web-2"))
    api.budgets = [budget(desired=1, expected=2, allowed=1)]
    del api.pods[0]
    with pytest.raises(KubesteadError, match="was not empty after 5 s") as error:
        api.drain()
    assert "default/web-2 is held by the PodDisruptionBudget default/web" in error.value.message
    assert "worker-1 takes pods again" in error.value.message
    assert "Evicted meanwhile: default/web-1." in error.value.message
    assert error.value.details["evicted"] == ["default/web-1"]
    assert [blocked["pod"] for blocked in error.value.details["blocked"]] == ["default/web-2"]
    assert not api.node["spec"]["unschedulable"]
    assert api.node["metadata"]["annotations"] == {}


def test_a_node_that_was_cordoned_stays_so_when_the_time_is_over(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.node["spec"]["unschedulable"] = True
    api.stubborn = True
    with pytest.raises(KubesteadError, match=r"may take until 2026-11-21T09:00:00Z \(600 s\)") as error:
        api.drain()
    assert "worker-1 stays cordoned, as it was" in error.value.message
    assert "Evicted meanwhile" not in error.value.message
    assert error.value.details["evicted"] == []
    assert api.node["spec"]["unschedulable"] is True


def test_finalizers_are_named(kubeconfig: str) -> None:
    held = pod("web-1", metadata={"deletionTimestamp": "x", "finalizers": ["example.org/keep"]})
    with pytest.raises(KubesteadError, match=r"waits for the finalizers example.org/keep"):
        Api(kubeconfig, held).drain()


def test_an_answer_that_fails_is_asked_again(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.failures = 2
    assert api.drain()["evicted"] == ["default/web-1"]


def test_a_cluster_that_stays_silent_is_told(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.failures = 100
    with pytest.raises(KubesteadError, match=r"(?s)not empty after 5 s.*connection to the server was refused"):
        api.drain()


@pytest.mark.parametrize(
    ("lost", "option", "text"),
    [
        (
            pod("web-1", spec={"volumes": [{"emptyDir": {}}]}),
            "delete_emptydir_data",
            "emptyDir would be lost of default/web-1",
        ),
        (pod("web-1", ""), "force", "Nothing would bring back default/web-1"),
    ],
    ids=["emptydir", "uncontrolled"],
)
def test_losses_can_be_refused(kubeconfig: str, lost: dict[str, Any], option: str, text: str) -> None:
    api = Api(kubeconfig, lost, **{option: False})
    with pytest.raises(KubesteadError, match=text):
        api.drain()
    assert api.changes == []
    ended = {**lost, "status": {"phase": "Succeeded"}}
    assert Api(kubeconfig, ended, **{option: False}).drain()["evicted"] == ["default/web-1"]


def test_check_mode_tells_the_same_and_changes_nothing(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"))
    api.check_mode = True
    result = api.drain()
    assert (result["changed"], result["evicted"]) == (True, ["default/web-1"])
    assert api.changes == []
    api.budgets = [budget(desired=2, expected=2, allowed=0)]
    with pytest.raises(KubesteadError, match="is held"):
        api.drain()


def test_a_node_or_a_cluster_that_is_not_there(kubeconfig: str, tmp_path: Path) -> None:
    api = Api(kubeconfig)
    api.exists = False
    assert (api.drain()["exists"], api.drain()["changed"]) == (False, False)
    nowhere = Api(str(tmp_path / "none"))
    nowhere.check_mode = True
    assert nowhere.drain()["exists"] is False


def test_a_silent_node_is_not_drained_unless_it_is_said_to_be_dead(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1", metadata={"deletionTimestamp": "x"}), pod("proxy", "DaemonSet"))
    api.budgets = [budget(desired=2, expected=2, allowed=0)]
    api.report("Unknown")
    with pytest.raises(
        KubesteadError, match=r"(?s)not reported since 2026-11-21T08:00:00Z.*Nothing was changed.*dead: true"
    ):
        api.drain()
    assert api.changes == []
    api.params["dead"] = True
    assert api.drain()["evicted"] == ["default/web-1"]
    assert api.evictions[0]["gracePeriodSeconds"] == 0
    assert api.changes == ["patch", "delete"]


def test_a_silent_node_without_pods_is_drained_already(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("proxy", "DaemonSet"))
    api.node["spec"]["unschedulable"] = True
    api.report("Unknown")
    assert api.drain()["changed"] is False


def test_a_node_that_reports_is_not_dead(kubeconfig: str) -> None:
    api = Api(kubeconfig, pod("web-1"), dead=True)
    api.heartbeats = itertools.count()
    with pytest.raises(KubesteadError, match="worker-1 is not dead: its kubelet reports"):
        api.drain()
    assert api.changes == []


def test_a_dead_node_is_waited_for_until_the_cluster_gives_it_up(kubeconfig: str) -> None:
    api = Api(kubeconfig, dead=True)
    with pytest.raises(KubesteadError, match=r"to give worker-1 up.*nothing was changed.*Ready is True"):
        api.drain()
    looks = itertools.count()

    def get(what: str) -> tuple[int, str, str]:
        if what == "node" and next(looks) == 3:
            api.report("Unknown")
        return Api.get(api, what)

    api.get = get  # type: ignore[method-assign]
    assert api.drain()["changed"]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors(selector: dict[str, Any] | None, chosen: bool) -> None:
    assert _drain.disruption.selects(selector, {"app": "web"}) is chosen
