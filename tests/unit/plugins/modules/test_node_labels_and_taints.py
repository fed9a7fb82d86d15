"""Labels and taints of nodes: those of the inventory come and go, those of others stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.modules.node_labels_and_taints import RECORD, Nodes, patch, wanted

FOREIGN = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
GPU = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
CLOSED = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
REMEMBERED = {"labels": ["disk"], "taints": [["dedicated", "NoSchedule"]]}


def node(labels: Any = None, taints: Any = None, record: Any = None, name: str = "worker-1") -> dict[str, Any]:
    annotations = {RECORD: json.dumps(record)} if record else {}
    return {
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": "7", "labels": labels or {}, "annotations": annotations},
        "spec": {"taints": taints} if taints else {},
    }


def want(labels: Any = None, taints: Any = None, control_plane: bool = False) -> dict[str, Any]:
    return {"labels": labels or {}, "taints": taints or [], "control_plane": control_plane}


@pytest.mark.parametrize(
    ("found", "wish", "expected"),
    [
        (node({"theirs": "x"}, [FOREIGN]), want(), {}),
        (node({"disk": "fast"}, [FOREIGN, GPU], REMEMBERED), want({"disk": "fast"}, [GPU]), {}),
        (
            node({"disk": "slow", "theirs": "x"}, [FOREIGN], REMEMBERED),
            want({"disk": "fast"}, [GPU]),
            {"metadata": {"labels": {"disk": "fast"}}, "spec": {"taints": [FOREIGN, GPU]}},
        ),
        (
            node({"disk": "fast", "theirs": "x"}, [FOREIGN, GPU], REMEMBERED),
            want(),
            {"metadata": {"labels": {"disk": None}, "annotations": {RECORD: None}}, "spec": {"taints": [FOREIGN]}},
        ),
        (
            node({"disk": "fast"}),
            want({"disk": "fast"}),
            {"metadata": {"annotations": {RECORD: '{"labels": ["disk"]}'}}},
        ),
        (node(taints=[CLOSED]), want(control_plane=True), {"spec": {"taints": []}}),
        (node(taints=[CLOSED]), want(taints=[CLOSED], control_plane=True), {}),
        (node({"number": "1"}, record={"labels": ["number"]}), want({"number": 1}), {}),
    ],
    ids=["others", "as-wanted", "changed", "taken-off", "remembered", "opened", "closed", "numbers"],
)
def test_a_node_gets_what_differs_and_keeps_what_is_not_ours(
    found: dict[str, Any], wish: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert patch(found, wish) == expected


def test_a_control_plane_is_closed_unless_it_takes_pods() -> None:
    params = {"labels": {}, "taints": {"one": [GPU]}, "control_planes": ["one"], "schedule_on_control_planes": False}
    assert wanted(params)["one"]["taints"] == [CLOSED, GPU]
    assert wanted({**params, "schedule_on_control_planes": True})["one"]["taints"] == [GPU]


class Api:
    """kubectl, before which somebody else writes to the node a few times."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.written: list[dict[str, Any]] = []

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        if "patch" not in command:
            return 0, json.dumps({"kind": "List", "items": [node(), node(name="stranger")]}), ""
        if self.conflicts:
            self.conflicts -= 1
            return 1, "", "Error from server (Conflict): the object has been modified"
        self.written.append(json.loads(command[command.index("--patch") + 1]))
        return 0, "", ""


@pytest.fixture
def perform(fake_module: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def run(api: Api, check_mode: bool = False) -> dict[str, Any]:
        params = {"labels": {"worker-1": {"disk": "fast"}}, "taints": {}, "control_planes": []}
        module = fake_module(api.answer, **params, schedule_on_control_planes=False, kubeconfig="/dev/null")
        module.check_mode = check_mode
        return Nodes(module).perform()

    return run


def test_a_write_that_came_between_is_met_with_another_look(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(conflicts=2)
    assert perform(api) == {"changed": True, "nodes": ["worker-1"]}
    assert [one["metadata"]["labels"] for one in api.written] == [{"disk": "fast"}]
    assert api.written[0]["metadata"]["resourceVersion"] == "7"


def test_conflicts_without_end_are_an_error(perform: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(KubesteadError, match="Conflict"):
        perform(Api(conflicts=99))


def test_check_mode_writes_nothing(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(conflicts=0)
    assert perform(api, check_mode=True)["changed"] is True
    assert api.written == []
