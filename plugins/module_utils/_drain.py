# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the pods off a node through the Eviction API, within a bounded time, and say what kept those that stayed."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _disruption as disruption
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, last_lines
from ansible_collections.kubestead.cluster.plugins.module_utils._disruption import full_name, uid
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import condition_of
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Tells a node that we cordoned from one that its administrator did, also after a run that was killed.
CORDONED = "kubestead.io/cordoned"
_QUICK = "--request-timeout=10s"
_Object = t.Dict[str, t.Any]


class Drain:
    """One node of the cluster that a kubeconfig names."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.name: str = module.params["name"]
        self.kubectl = Kubectl(module, module.params["kubeconfig"], PATIENCE)
        self.node: _Object = {}
        self.deadline = 0.0
        self.evicted: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.trouble = ""
        self.result: dict[str, t.Any] = {
            "changed": False,
            "exists": False,
            "was_schedulable": False,
            "evicted": [],
            "kept": [],
            "uncontrolled": [],
        }

    def perform(self) -> dict[str, t.Any]:
        """Bring the node to the wanted state; gives the module's result."""
        if self.module.check_mode and not os.path.exists(self.kubectl.kubeconfig):
            return self.result
        found = self.kubectl.get("node", self.name, _QUICK)
        if not found:
            return self.result
        self.node = found[0]
        self.result.update(exists=True, was_schedulable=self._was_schedulable())
        if self.params["state"] == "drained":
            self._drain()
        else:
            self._cordon(self.params["state"] == "cordoned")
        return self.result

    # the node

    @property
    def _schedulable(self) -> bool:
        return not self.node["spec"].get("unschedulable", False)

    def _was_schedulable(self) -> bool:
        """Whether the node takes pods, or did before we cordoned it."""
        return self._schedulable or CORDONED in (self.node["metadata"].get("annotations") or {})

    def _cordon(self, wanted: bool) -> None:
        if self._schedulable != wanted:
            return
        self.result["changed"] = True
        if not self.module.check_mode:
            self._patch(wanted)

    def _patch(self, cordoned: bool) -> None:
        patch = {
            "metadata": {"annotations": {CORDONED: "true" if cordoned else None}},
            "spec": {"unschedulable": True if cordoned else None},
        }
        self.kubectl.run("patch", "node", self.name, "--patch", json.dumps(patch), _QUICK)

    def _ready(self) -> str:
        """True, False, or Unknown where its kubelet has stopped reporting."""
        return str(condition_of(self.node, "Ready").get("status", "Unknown"))

    # the pods

    def _drain(self) -> None:
        self.deadline = time.monotonic() + self.params["timeout"]
        if self.params["dead"]:
            self._make_sure_it_is_dead()
        pods = self._pods()
        going = [pod for pod in pods if not disruption.why_kept(pod)]
        if going and self._ready() == "Unknown" and not self.params["dead"]:
            raise self._silent()
        self._account(pods, going)
        if not self.params["dead"]:
            self._refuse(going)
        self._cordon(True)
        if not going or self.module.check_mode:
            return
        self.result["changed"] = True
        try:
            wait_for(self._round, lambda left: not left, "pods to go", self.params["timeout"], interval=1)
        except WaitTimeoutError as error:
            raise self._stuck(error.last) from error
        finally:
            self.result["evicted"] = sorted(set(self.evicted.values()))

    def _pods(self) -> list[_Object]:
        return self.kubectl.get("pods", "--all-namespaces", "--field-selector", f"spec.nodeName={self.name}", _QUICK)

    def _budgets(self) -> list[_Object]:
        return self.kubectl.get("poddisruptionbudgets", "--all-namespaces", _QUICK)

    def _account(self, pods: t.Sequence[_Object], going: t.Sequence[_Object]) -> None:
        """Note what goes and what stays, as far as it is known before anything is done."""
        kept = [pod for pod in pods if disruption.why_kept(pod)]
        self.result["kept"] = [{"pod": full_name(pod), "reason": disruption.why_kept(pod)} for pod in kept]
        self.result["uncontrolled"] = sorted(full_name(pod) for pod in going if not disruption.controller(pod))
        self.result["changed"] = bool(going)
        self.result["evicted"] = sorted(map(full_name, going))

    def _refuse(self, going: t.Sequence[_Object]) -> None:
        """An error for what no waiting can change, before anything is changed."""
        local = [full_name(pod) for pod in going if disruption.keeps_local_data(pod)]
        lone = [full_name(pod) for pod in going if not disruption.controller(pod) and not disruption.is_finished(pod)]
        reasons = []
        if local and not self.params["delete_emptydir_data"]:
            reasons.append(
                f"Data in an emptyDir would be lost of {', '.join(local)}; delete_emptydir_data allows that."
            )
        if lone and not self.params["force"]:
            reasons.append(f"Nothing would bring back {', '.join(lone)}; force allows that.")
        budgets = self._budgets()
        held = [(pod, disruption.budgets_of(pod, budgets)) for pod in going]
        held = [(pod, own) for pod, own in held if disruption.never_met(pod, own)]
        reasons += [disruption.advice(pod, own) for pod, own in held]
        if reasons:
            lines = [f"{self.name} cannot be drained, however long one waits. Nothing was changed.", *reasons]
            raise KubesteadError("\n".join(lines), blocked=_blocked(held), evicted=[])

    def _round(self) -> list[_Object]:
        """Evict what is on the node still; gives what was there."""
        try:
            going = [pod for pod in self._pods() if not disruption.why_kept(pod)]
            self.trouble = ""
        except KubesteadError as error:
            # While control planes come and go, one answer may fail.
            self.trouble = error.message
            return [self.node]
        for pod in going:
            if time.monotonic() > self.deadline:
                break
            if self.params["dead"] or not disruption.is_ending(pod):
                self._evict(pod)
        return going

    def _evict(self, pod: _Object) -> None:
        metadata = pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        # A pod of the same name may be on another node by now.
        options: dict[str, t.Any] = {"preconditions": {"uid": uid(pod)}}
        place = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if self.params["dead"]:
            options.update(apiVersion="v1", kind="DeleteOptions", gracePeriodSeconds=0)
            outcome = self.kubectl.run(
                "delete", "--raw", place, "-f", "-", _QUICK, data=json.dumps(options), check=False
            )
        else:
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": options}
            eviction["metadata"] = {"name": name, "namespace": namespace}
            arguments = ("create", "--raw", f"{place}/eviction", "-f", "-", _QUICK)
            outcome = self.kubectl.run(*arguments, data=json.dumps(eviction), check=False)
        if outcome.rc == 0:
            self.evicted[uid(pod)] = full_name(pod)
        else:
            self.refusals[uid(pod)] = last_lines(outcome.stderr or outcome.stdout, 3)

    # a node that cannot be drained

    def _silent(self) -> KubesteadError:
        since = condition_of(self.node, "Ready").get("lastTransitionTime", "it joined")
        return KubesteadError(
            f"The kubelet of {self.name} has not reported since {since}, so its pods cannot end and a drain would never finish. "
            "Nothing was changed. Bring the machine or its kubelet back; or, if it is off for good, say that it is dead, and its pods are "
            "deleted without waiting for it: `dead: true` of this module, `-e remove_dead=true` or `--dead` of a removal."
        )

    def _make_sure_it_is_dead(self) -> None:
        """Wait until the cluster has given the node up; an error where its kubelet still reports."""
        first = self._heartbeat()

        def look() -> str:
            self.node = (self.kubectl.get("node", self.name, _QUICK) or [self.node])[0]
            if self._heartbeat() != first:
                raise KubesteadError(
                    f"{self.name} is not dead: its kubelet reports to the cluster just now. Nothing was changed. Pods that run must end "
                    "by themselves: drain it without `dead`."
                )
            return self._ready()

        wait_for(
            look,
            lambda ready: ready == "Unknown",
            f"the cluster to give {self.name} up, which it does some 50 s after its kubelet last reported (nothing was changed)",
            self.params["timeout"],
            interval=1,
            describe=lambda ready: f"Ready is {ready}",
        )

    def _heartbeat(self) -> str:
        """When the kubelet last said that it lives."""
        leases = self.kubectl.get("lease", self.name, "--namespace", "kube-node-lease", _QUICK)
        return str(leases[0]["spec"].get("renewTime", "")) if leases else ""

    def _stuck(self, left: t.Sequence[_Object]) -> KubesteadError:
        """The error of a time that was over; a node that took pods before does so again."""
        held: list[tuple[_Object, list[t.Mapping[str, t.Any]]]] = []
        reasons = [self.trouble] if self.trouble else []
        try:
            budgets = self._budgets()
            held = [] if self.trouble else [(pod, disruption.budgets_of(pod, budgets)) for pod in left]
            after = self._put_back()
        except KubesteadError as error:
            after = f"{self.name} could not be uncordoned: {error.message}"
        reasons += [self._reason(pod, own) for pod, own in held]
        lines = [f"{self.name} was not empty after {self.params['timeout']} s.", *reasons, after]
        staying = set(map(uid, left)) if not self.trouble else set()
        gone = sorted({name for key, name in self.evicted.items() if key not in staying})
        if gone:
            lines.append(f"Evicted meanwhile: {', '.join(gone)}.")
        blocked = _blocked([(pod, own) for pod, own in held if own and not disruption.is_ending(pod)])
        return KubesteadError("\n".join(lines), blocked=blocked, evicted=gone)

    def _put_back(self) -> str:
        if not self._was_schedulable():
            return f"{self.name} stays cordoned, as it was."
        self._patch(False)
        return f"{self.name} takes pods again, as it did before."

    def _reason(self, pod: _Object, budgets: t.Sequence[t.Mapping[str, t.Any]]) -> str:
        if disruption.is_ending(pod):
            grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
            finalizers = pod["metadata"].get("finalizers") or []
            waits = f"; it waits for the finalizers {', '.join(finalizers)}" if finalizers else ""
            return (
                f"{full_name(pod)} is told to end, and may take until {pod['metadata']['deletionTimestamp']} ({grace} s){waits}. "
                "Give the drain more time, or see what it waits for."
            )
        if budgets:
            return disruption.advice(pod, budgets)
        return f"{full_name(pod)}: {self.refusals.get(uid(pod), 'its turn had not come')}"


def _blocked(held: t.Iterable[tuple[_Object, t.Sequence[t.Mapping[str, t.Any]]]]) -> list[dict[str, t.Any]]:
    return [{"pod": full_name(pod), **disruption.describe(budget)} for pod, own in held for budget in own]
