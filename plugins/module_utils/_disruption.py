# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that are to leave a node, and the PodDisruptionBudgets that stand in their way, as data."""

from __future__ import annotations

import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._objects import is_ready

_Object = t.Mapping[str, t.Any]
_MIRROR = "kubernetes.io/config.mirror"


def full_name(thing: _Object) -> str:
    """Namespace and name."""
    metadata = thing["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def uid(thing: _Object) -> str:
    """What tells an object from a later one of the same name."""
    return str(thing["metadata"]["uid"])


def is_ending(pod: _Object) -> bool:
    """Whether a pod was told to go already."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_finished(pod: _Object) -> bool:
    """Whether a pod has run to its end."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def controller(pod: _Object) -> str:
    """The kind of what brings a pod back; empty where nothing does."""
    owners = pod["metadata"].get("ownerReferences") or []
    return str(next((owner["kind"] for owner in owners if owner.get("controller")), ""))


def why_skipped(pod: _Object) -> str:
    """Why a pod stays when its node is drained; empty where it goes."""
    if _MIRROR in (pod["metadata"].get("annotations") or {}):
        return "static pod"
    return "DaemonSet" if controller(pod) == "DaemonSet" else ""


def keeps_local_data(pod: _Object) -> bool:
    """Whether a pod loses data of an emptyDir when it goes."""
    volumes = pod["spec"].get("volumes") or []
    return not is_finished(pod) and any("emptyDir" in volume for volume in volumes)


def selects(selector: t.Optional[_Object], labels: t.Mapping[str, str]) -> bool:
    """Whether a label selector selects: an empty one selects all, none at all nothing."""
    if selector is None:
        return False
    pairs = (selector.get("matchLabels") or {}).items()
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs) and all(_holds(one, labels) for one in expressions)


def _holds(expression: _Object, labels: t.Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values: t.Sequence[str] = expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return bool((key in labels) == (operator == "Exists"))


def budgets_of(pod: _Object, budgets: t.Iterable[_Object]) -> list[_Object]:
    """The budgets that a pod counts for."""
    metadata = pod["metadata"]
    return [
        budget
        for budget in budgets
        if budget["metadata"]["namespace"] == metadata["namespace"]
        and selects(budget["spec"].get("selector"), metadata.get("labels") or {})
    ]


def never_met(pod: _Object, budgets: t.Sequence[_Object]) -> bool:
    """Whether no waiting will let the pod go: its budget wants as many as there are, or two budgets count it.

    Only pods that are up count: those that have not begun, have ended or are not ready may go by other rules.
    """
    if is_ending(pod) or pod.get("status", {}).get("phase") != "Running" or not is_ready(pod):
        return False
    return len(budgets) > 1 or any(map(_wants_all, budgets))


def _wants_all(budget: _Object) -> bool:
    status = budget.get("status") or {}
    judged: bool = status.get("observedGeneration") == budget["metadata"].get("generation")
    expected, desired = int(status.get("expectedPods", 0)), int(status.get("desiredHealthy", 0))
    return judged and 0 < expected <= desired


def describe(budget: _Object) -> dict[str, t.Any]:
    """A budget as it stands in a result."""
    spec, status = budget["spec"], budget.get("status") or {}
    wanted = next((name for name in ("minAvailable", "maxUnavailable") if name in spec), "")
    return {
        "budget": full_name(budget),
        "rule": f"{wanted}: {spec[wanted]}" if wanted else "",
        "desired_healthy": status.get("desiredHealthy", 0),
        "current_healthy": status.get("currentHealthy", 0),
        "expected_pods": status.get("expectedPods", 0),
        "disruptions_allowed": status.get("disruptionsAllowed", 0),
    }


def advice(pod: _Object, budgets: t.Sequence[_Object]) -> str:
    """In words, what keeps a pod and what its owner can do."""
    if len(budgets) > 1:
        names = " and ".join(map(full_name, budgets))
        return f"{full_name(pod)} counts for two PodDisruptionBudgets, {names}, which Kubernetes refuses to evict. Delete one of them."
    facts = describe(budgets[0])
    namespace, name = facts["budget"].split("/")
    return (
        f"{full_name(pod)} is held by the PodDisruptionBudget {facts['budget']} ({facts['rule']}): it wants {facts['desired_healthy']} "
        f"of {facts['expected_pods']} pods healthy, {facts['current_healthy']} are, so {facts['disruptions_allowed']} may go. "
        f"Run more replicas, bring back those that are not healthy, or relax it: "
        f"`kubectl edit poddisruptionbudget {name} --namespace {namespace}`."
    )
