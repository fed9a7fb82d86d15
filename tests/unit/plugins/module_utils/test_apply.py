"""Applying objects: order, prediction, pruning and waiting, against a cluster in memory that answers as kubectl does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._apply import OWNER_LABEL, Applier
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Identity

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "demo"}, "data": {"a": "1"}}
THING = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "demo"}}
KIND = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.org"},
    "spec": {"group": "example.org", "names": {"kind": "Thing"}},
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}
NO_WORD = {"type": "Ready", "status": "Unknown"}


class Cluster:
    """The objects of a cluster, behind kubectl's commands."""

    def __init__(self) -> None:
        self.objects: dict[Identity, dict[str, Any]] = {}
        self.nodes: list[dict[str, Any]] = []
        self.version = 0
        self.verbs: list[str] = []
        self.deleted: list[str] = []

    def answer(self, command: list[str], data: str | None) -> tuple[int, str, str]:
        verb = command[1]
        self.verbs.append(verb)
        items = json.loads(data)["items"] if data and verb != "label" else []
        if verb == "label":
            return 0, json.dumps(copy.deepcopy(CONFIG)), ""
        if verb == "apply":
            dry = "--dry-run=server" in command
            return 0, self.listing([self.apply(item, dry) for item in items]), ""
        if verb == "delete":
            for item in items:
                self.deleted.append(str(Identity.of(item)))
                self.objects.pop(Identity.of(item), None)
            return 0, "", ""
        if "--raw" in command:
            served = any(thing["kind"] == "CustomResourceDefinition" for thing in self.objects.values())
            return (0, json.dumps({"resources": [{"kind": "Thing"}]}), "") if served else (1, "", "NotFound")
        if command[2] == "nodes":
            return 0, self.listing(self.nodes), ""
        if command[2] == "namespace":
            found = [
                thing
                for thing in self.objects.values()
                if thing["kind"] == "Namespace" and thing["metadata"]["name"] in command
            ]
            return 0, self.listing(found), ""
        if "--selector" in command:
            key, _dummy, value = command[command.index("--selector") + 1].partition("=")
            found = [thing for thing in self.objects.values() if thing["metadata"].get("labels", {}).get(key) == value]
            return 0, self.listing(found), ""
        found = [self.objects[Identity.of(item)] for item in items if Identity.of(item) in self.objects]
        return 0, self.listing(found), ""

    def apply(self, item: dict[str, Any], dry: bool) -> dict[str, Any]:
        before = self.objects.get(Identity.of(item))
        after = copy.deepcopy(item)
        known = {key: before["metadata"][key] for key in ("uid", "resourceVersion")} if before else {}
        after["metadata"].update(known or {"uid": str(Identity.of(item)), "resourceVersion": "0"})
        if before != after and not dry:
            self.version += 1
            after["metadata"]["resourceVersion"] = str(self.version)
            self.objects[Identity.of(item)] = after
        return copy.deepcopy(after)

    @staticmethod
    def listing(items: list[dict[str, Any]]) -> str:
        return json.dumps({"kind": "List", "apiVersion": "v1", "items": items})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "admin.conf"
    path.write_text("kind: Config\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def apply(cluster: Cluster, kubeconfig: str, fake_module: Any) -> Any:
    def run(definition: Any, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        params = {
            "definition": definition,
            "files": [],
            "state": "present",
            "owner": None,
            "prune": False,
            "prune_kinds": ["configmaps"],
            "wait": False,
            "wait_timeout": 0,
            "field_manager": "kubestead",
            "kubeconfig": kubeconfig,
            **changes,
        }
        module = fake_module(cluster.answer, **params)
        module.check_mode = check_mode
        module._diff = True
        return Applier(module).perform()

    return run


def actions(result: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["action"] for entry in result["objects"]}


def test_a_second_apply_changes_nothing_and_a_third_with_news_does(apply: Any) -> None:
    assert actions(apply([CONFIG, NAMESPACE])) == {"demo": "created", "c": "created"}
    second = apply([CONFIG, NAMESPACE])
    assert (second["changed"], second["diff"]) == (False, [])
    third = apply([{**CONFIG, "data": {"a": "2"}}, NAMESPACE])
    assert actions(third) == {"demo": "unchanged", "c": "changed"}
    assert '"a": "1"' in third["diff"][0]["before"]
    assert '"a": "2"' in third["diff"][0]["after"]


def test_namespaces_and_kinds_come_before_what_needs_them(apply: Any, cluster: Cluster) -> None:
    result = apply([THING, CONFIG, KIND, NAMESPACE])
    assert [entry["kind"] for entry in result["objects"]] == [
        "CustomResourceDefinition",
        "Namespace",
        "Thing",
        "ConfigMap",
    ]
    assert cluster.verbs.count("apply") == 2


def test_check_mode_predicts_what_the_server_cannot_try_yet(apply: Any, cluster: Cluster) -> None:
    result = apply([THING, CONFIG, KIND, NAMESPACE], check_mode=True)
    assert set(actions(result).values()) == {"created"}
    assert cluster.objects == {}
    apply([THING, CONFIG, KIND, NAMESPACE])
    assert not apply([THING, CONFIG, KIND, NAMESPACE], check_mode=True)["changed"]
    changed = apply([THING, {**CONFIG, "data": {"a": "2"}}, KIND, NAMESPACE], check_mode=True)
    assert actions(changed)["c"] == "changed"
    assert cluster.objects[Identity.of(CONFIG)]["data"] == {"a": "1"}


@pytest.mark.parametrize(("state", "changed"), [("present", True), ("absent", False)])
def test_check_mode_before_there_is_a_cluster(apply: Any, cluster: Cluster, state: str, changed: bool) -> None:
    result = apply([CONFIG], check_mode=True, state=state, kubeconfig="/nowhere/admin.conf")
    assert result == {"changed": changed, "objects": []}
    assert cluster.verbs == []


def test_without_credentials_it_says_where_to_go(apply: Any) -> None:
    with pytest.raises(KubesteadError, match="Delegate the task to a control plane"):
        apply([CONFIG], kubeconfig="/nowhere/admin.conf")


def test_pruning_takes_what_is_ours_and_wanted_no_more(apply: Any, cluster: Cluster) -> None:
    other = {**CONFIG, "metadata": {"name": "d", "namespace": "demo"}}
    foreign = {**CONFIG, "metadata": {"name": "e", "namespace": "demo", "labels": {OWNER_LABEL: "somebody"}}}
    owned = {
        **CONFIG,
        "metadata": {"name": "f", "namespace": "demo", "labels": {OWNER_LABEL: "us"}, "ownerReferences": [{}]},
    }
    apply([CONFIG, other], owner="us")
    for thing in (foreign, owned):
        cluster.apply(thing, dry=False)
    predicted = apply([CONFIG], owner="us", prune=True, check_mode=True)
    assert (actions(predicted)["d"], cluster.deleted) == ("deleted", [])
    result = apply([CONFIG], owner="us", prune=True)
    assert actions(result) == {"c": "unchanged", "d": "deleted"}
    assert cluster.deleted == ["ConfigMap demo/d"]
    assert not apply([CONFIG], owner="us", prune=True)["changed"]


def test_absent_deletes_what_is_there_in_reverse(apply: Any, cluster: Cluster) -> None:
    apply([NAMESPACE, CONFIG])
    assert apply([NAMESPACE, CONFIG, THING], state="absent", check_mode=True)["changed"]
    assert cluster.deleted == []
    result = apply([NAMESPACE, CONFIG, THING], state="absent")
    assert actions(result) == {"demo": "deleted", "c": "deleted"}
    assert not apply([NAMESPACE, CONFIG, THING], state="absent")["changed"]


def test_yaml_text_is_read_by_kubectl(apply: Any, cluster: Cluster) -> None:
    assert actions(apply("kind: ConfigMap\n")) == {"c": "created"}
    assert cluster.verbs[0] == "label"
    assert apply("  \n") == {"changed": False, "objects": [], "diff": []}


def test_files_on_the_node_have_further_objects(apply: Any, tmp_path: Path) -> None:
    further = tmp_path / "further.yml"
    further.write_text("kind: ConfigMap\n")
    assert actions(apply([NAMESPACE], files=[str(further)])) == {"demo": "created", "c": "created"}
    missing = str(tmp_path / "missing.yml")
    assert actions(apply([NAMESPACE], files=[missing], check_mode=True)) == {"demo": "unchanged"}
    with pytest.raises(KubesteadError, match=r"missing\.yml, one of files, is not on this node"):
        apply([NAMESPACE], files=[missing])


def test_waiting_in_vain_names_the_object_and_what_it_lacks(apply: Any) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Pending"}}
    with pytest.raises(KubesteadError, match=r"Waited 0 s for objects to be ready\. Last seen: Pod p: not Ready yet"):
        apply([pod], wait=True)


def test_a_daemon_set_is_not_waited_for_where_machines_are_off(apply: Any, cluster: Cluster) -> None:
    status = {"desiredNumberScheduled": 2, "numberAvailable": 1, "updatedNumberScheduled": 1}
    agents = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a"}, "status": status}
    cluster.nodes = [{"kind": "Node", "metadata": {"name": "n"}, "status": {"conditions": [NO_WORD]}}]
    assert apply([agents], wait=True)["changed"]
    cluster.nodes = []
    with pytest.raises(KubesteadError, match="DaemonSet a: 1 of 2 pods are of the wanted version"):
        apply([{**agents, "spec": {}}], wait=True)


@pytest.mark.parametrize("definition", [3, [3], [{"kind": "Pod"}]])
def test_what_is_no_definition_is_refused(apply: Any, definition: Any) -> None:
    with pytest.raises(KubesteadError, match="definition"):
        apply(definition)
