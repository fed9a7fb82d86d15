"""CoreDNS on one node is moved apart, and left alone where it is apart or nowhere to go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.modules.dns_spread import Dns, crowded

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
OWN = {"key": "own", "effect": "NoSchedule"}


def node(name: str, *taints: dict[str, str], ready: bool = True) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"taints": list(taints)},
        "status": {"conditions": [condition]},
    }


def pod(name: str, where: str | None, age: int = 0, **metadata: Any) -> dict[str, Any]:
    created = f"2026-11-21T08:00:{age:02}Z"
    return {
        "kind": "Pod",
        "metadata": {"name": name, "creationTimestamp": created, **metadata},
        "spec": {"nodeName": where} if where else {},
    }


@pytest.mark.parametrize(
    ("pods", "nodes", "doomed"),
    [
        ([pod("new", "a", 2), pod("old", "a", 1)], [node("a"), node("b")], ["new"]),
        ([pod("new", "a", 2), pod("old", "a", 1)], [node("a"), node("b", CONTROL_PLANE)], ["new"]),
        ([pod("new", "a", 2), pod("old", "b", 1)], [node("a"), node("b")], []),
        ([pod("new", "a", 2), pod("old", "a", 1)], [node("a")], []),
        ([pod("new", "a", 2), pod("old", "a", 1)], [node("a"), node("b", ready=False)], []),
        ([pod("new", "a", 2), pod("old", "a", 1)], [node("a"), node("b", OWN)], []),
        ([pod("new", None, 2), pod("old", None, 1)], [node("a"), node("b")], []),
        ([pod("gone", "a", deletionTimestamp="x"), pod("only", "a")], [node("a"), node("b")], []),
    ],
    ids=["together", "on-control-planes", "apart", "one-node", "not-ready", "tainted", "pending", "one-is-going"],
)
def test_all_but_the_oldest_go_where_another_node_takes_them(
    pods: list[dict[str, Any]], nodes: list[dict[str, Any]], doomed: list[str]
) -> None:
    assert crowded(pods, nodes) == doomed


class Api:
    """Answers as kubectl does: the second node is ready at the second look, and a deleted pod comes back there."""

    def __init__(self, kubeconfig: str, check_mode: bool = False) -> None:
        self.check_mode = check_mode
        self.params = {"timeout": 10, "kubeconfig": kubeconfig}
        self.looks = 0
        self.pods = [pod("new", "a", 2), pod("old", "a", 1)]
        self.deleted: list[str] = []

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        if "delete" in command:
            self.deleted = [one["metadata"]["name"] for one in self.pods if one["metadata"]["name"] in command]
            self.pods = [pod("newest", "b", 3), pod("old", "a", 1)]
            return 0, "", ""
        if "nodes" in command:
            self.looks += 1
            ready = self.looks > 2
            items = [node("a"), node("b", *([] if ready else [NOT_READY]), ready=ready)]
        else:
            items = self.pods
        return 0, json.dumps({"kind": "List", "items": items}), ""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "admin.conf"
    path.touch()
    return str(path)


def test_nodes_that_are_about_to_be_ready_are_waited_for(kubeconfig: str) -> None:
    api: Any = Api(kubeconfig)
    assert Dns(api).perform() == {"changed": True, "deleted": ["new"]}
    assert api.deleted == ["new"]
    assert Dns(api).perform() == {"changed": False, "deleted": []}


def test_check_mode_deletes_nothing(kubeconfig: str) -> None:
    api: Any = Api(kubeconfig, check_mode=True)
    assert Dns(api).perform() == {"changed": True, "deleted": ["new"]}
    assert api.deleted == []


def test_check_mode_knows_of_a_cluster_that_is_still_to_come(tmp_path: Path) -> None:
    api: Any = Api(str(tmp_path / "admin.conf"), check_mode=True)
    assert Dns(api).perform() == {"changed": False, "deleted": []}
