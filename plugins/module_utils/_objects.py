# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes objects as data: which one it is, whether it changed, whether it is ready, what may be shown of it."""

from __future__ import annotations

import json
import typing as t

Object = t.Dict[str, t.Any]
HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"
# Groups that every API server serves; kinds of all others come with a CustomResourceDefinition or an APIService.
BUILT_IN_GROUPS = frozenset(
    {
        *("", "apps", "batch", "autoscaling", "policy"),
        *(
            f"{name}.k8s.io"
            for name in (
                *("admissionregistration", "apiextensions", "apiregistration", "certificates", "coordination"),
                *("discovery", "events", "flowcontrol.apiserver", "networking", "node", "rbac.authorization"),
                *("scheduling", "storage"),
            )
        ),
    }
)
_BOOKKEEPING = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")


class Identity(t.NamedTuple):
    """What tells an object from all others. The namespace default counts as none."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, thing: Object) -> Identity:
        """The identity of an object."""
        metadata = thing.get("metadata", {})
        namespace = metadata.get("namespace") or ""
        return cls(
            group_of(thing), thing["kind"], "" if namespace == "default" else namespace, metadata.get("name", "")
        )

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"

    def result(self, action: str) -> dict[str, str]:
        """How the object stands in a module's result."""
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name, "action": action}


def group_of(thing: Object) -> str:
    """The API group of an object, empty for the core group."""
    group, slash, _version = str(thing.get("apiVersion", "")).partition("/")
    return group if slash else ""


def by_identity(things: t.Iterable[Object]) -> dict[Identity, Object]:
    """The objects, found by what they are."""
    return {Identity.of(thing): thing for thing in things}


def problem(thing: t.Any) -> t.Optional[str]:
    """Why this cannot be an object, None where it can."""
    if not isinstance(thing, dict):
        return f"it is a {type(thing).__name__}, not a mapping"
    for key in ("apiVersion", "kind"):
        if not isinstance(thing.get(key), str):
            return f"it has no {key}"
    metadata = thing.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return f"the {thing['kind']} has no metadata.name"
    return None


def labelled(thing: Object, label: str, value: str) -> Object:
    """A copy of the object that carries one more label."""
    metadata = thing["metadata"]
    return {**thing, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), label: value}}}


def come_first(thing: Object) -> bool:
    """Whether other objects need this one to exist: namespaces, and definitions of kinds."""
    return thing["kind"] in ("Namespace", "CustomResourceDefinition")


def defined_kinds(things: t.Iterable[Object]) -> set[tuple[str, str]]:
    """Group and kind of all that the definitions among the objects define."""
    specs = [thing.get("spec", {}) for thing in things if thing["kind"] == "CustomResourceDefinition"]
    return {(spec.get("group", ""), spec.get("names", {}).get("kind", "")) for spec in specs}


def differs(before: Object, after: Object, manager: str) -> bool:
    """Whether an object was changed by us; what controllers write meanwhile does not count."""
    identity = ("uid", "resourceVersion")
    if all(before["metadata"].get(key) == after["metadata"].get(key) for key in identity):
        # A dry run keeps the old version also where it would change something.
        return _essence(before, manager) != _essence(after, manager)
    if before["metadata"].get("uid") != after["metadata"].get("uid"):
        return True
    return _essence(before, manager) != _essence(after, manager)


def _essence(thing: Object, manager: str) -> Object:
    fields = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in thing["metadata"].get("managedFields", [])
        if entry.get("manager") == manager and not entry.get("subresource")
    ]
    return {"object": plain(thing), "fields": fields}


def plain(thing: Object) -> Object:
    """The object without its status and without the API server's bookkeeping."""
    metadata = {key: value for key, value in thing["metadata"].items() if key not in _BOOKKEEPING}
    return {key: value for key, value in {**thing, "metadata": metadata}.items() if key != "status"}


def difference(identity: Identity, before: t.Optional[Object], after: t.Optional[Object]) -> dict[str, str]:
    """A diff for Ansible, in which the content of a Secret cannot be read."""
    shown_before = plain(before) if before else {}
    shown_after = plain(after) if after else {}
    if identity.kind == "Secret":
        shown_before, shown_after = _hidden(shown_before, {}), _hidden(shown_after, shown_before)
    return {
        "before_header": str(identity),
        "after_header": str(identity),
        "before": _text(shown_before),
        "after": _text(shown_after),
    }


def _hidden(secret: Object, other: Object) -> Object:
    shown = dict(secret)
    for key in ("data", "stringData"):
        if isinstance(secret.get(key), dict):
            old = other.get(key) or {}
            shown[key] = {
                name: HIDDEN_CHANGED if name in old and old[name] != value else HIDDEN
                for name, value in secret[key].items()
            }
    return shown


def _text(thing: Object) -> str:
    return json.dumps(thing, indent=2, sort_keys=True) + "\n" if thing else ""


def not_ready(thing: Object, silent_nodes: int = 0) -> t.Optional[str]:
    """What an object still lacks to be ready; None where it is, or is of a kind that needs no waiting for.

    A DaemonSet may lack a pod for each of the silent nodes, whose kubelets report no more.
    """
    if silent_nodes and thing["kind"] == "DaemonSet":
        status = thing.get("status", {})
        thing = {
            **thing,
            "status": {**status, "desiredNumberScheduled": status.get("desiredNumberScheduled", 0) - silent_nodes},
        }
    check = _CHECKS.get((group_of(thing), thing["kind"]))
    return check(thing) if check else None


def failed(thing: Object) -> t.Optional[str]:
    """Why an object can never become ready; None where it still can."""
    if thing["kind"] == "Job":
        condition = condition_of(thing, "Failed")
        if condition.get("status") == "True":
            return f"{condition.get('reason', 'failed')}: {condition.get('message', '')}"
    return None


def condition_of(thing: t.Mapping[str, t.Any], name: str) -> Object:
    """A condition in an object's status; empty where it has none of that name."""
    conditions = thing.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == name), {})


def is_ready(thing: t.Mapping[str, t.Any]) -> bool:
    """Whether a node or a pod says that it is ready."""
    return bool(condition_of(thing, "Ready").get("status") == "True")


def is_silent(node: t.Mapping[str, t.Any]) -> bool:
    """Whether a node's kubelet reports no more, so that the cluster has given the node up."""
    return bool(condition_of(node, "Ready").get("status") == "Unknown")


def _needs(name: str) -> t.Callable[[Object], t.Optional[str]]:
    def check(thing: Object) -> t.Optional[str]:
        condition = condition_of(thing, name)
        if condition.get("status") == "True":
            return None
        return f"not {name} yet" + (f" ({condition['message']})" if condition.get("message") else "")

    return check


def _pod(thing: Object) -> t.Optional[str]:
    return None if thing.get("status", {}).get("phase") == "Succeeded" else _needs("Ready")(thing)


def _namespace(thing: Object) -> t.Optional[str]:
    phase = thing.get("status", {}).get("phase")
    return None if phase == "Active" else f"phase {phase}"


def _counted(wanted: str, ready: str, updated: str) -> t.Callable[[Object], t.Optional[str]]:
    """A check of a workload by its numbers; wanted is a path of keys in the object, the others lie in its status."""

    def check(thing: Object) -> t.Optional[str]:
        status = thing.get("status", {})
        if status.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
            return "not looked at by its controller yet"
        section, key = wanted.split(".")
        count = thing.get(section, {}).get(key, 1 if section == "spec" else 0)
        if status.get(updated, 0) < count:
            return f"{status.get(updated, 0)} of {count} pods are of the wanted version"
        return None if status.get(ready, 0) >= count else f"{status.get(ready, 0)} of {count} pods are ready"

    return check


_CHECKS: dict[tuple[str, str], t.Callable[[Object], t.Optional[str]]] = {
    ("apps", "Deployment"): _counted("spec.replicas", "availableReplicas", "updatedReplicas"),
    ("apps", "StatefulSet"): _counted("spec.replicas", "readyReplicas", "updatedReplicas"),
    ("apps", "DaemonSet"): _counted("status.desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled"),
    ("batch", "Job"): _needs("Complete"),
    ("", "Pod"): _pod,
    ("", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _needs("Established"),
    ("apiregistration.k8s.io", "APIService"): _needs("Available"),
}


def pod_troubles(pods: t.Iterable[Object]) -> list[str]:
    """What keeps pods from running, one line for each container that says so."""
    troubles = []
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        scheduled = condition_of(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            troubles.append(f"pod {name} is not scheduled: {scheduled.get('message', scheduled.get('reason', ''))}")
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            state = container.get("state", {})
            waiting = state.get("waiting") or {}
            if waiting and waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
                troubles.append(
                    f"pod {name}, container {container['name']}: {waiting['reason']} {waiting.get('message', '')}".rstrip()
                )
            ended = (container.get("lastState") or {}).get("terminated") or {}
            if ended.get("message"):
                troubles.append(f"pod {name}, container {container['name']} ended: {ended['message'].strip()[-300:]}")
    return troubles
