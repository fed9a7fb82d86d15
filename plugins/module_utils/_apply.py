# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring objects of a cluster to a wanted state through kubectl's server-side apply, and say what changed."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _objects as objects
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, json_documents
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Identity, Object
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

OWNER_LABEL = "kubestead.io/owner"


class Change(t.NamedTuple):
    """What became, or would become, of one object."""

    identity: Identity
    action: str
    before: t.Optional[Object]
    after: t.Optional[Object]


class Applier:
    """One task's objects and the cluster that they belong to."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.kubectl = Kubectl(module, self.params["kubeconfig"], PATIENCE)
        self.silent_nodes = 0

    def perform(self) -> dict[str, t.Any]:
        """Do what the state asks for; gives the module's result."""
        reachable = self.kubectl.present and os.path.exists(self.params["kubeconfig"])
        if not reachable and self.module.check_mode:
            # Before the cluster exists, everything is still to be created, and nothing to be deleted.
            return {"changed": self.params["state"] == "present", "objects": []}
        if not reachable and self.kubectl.path:
            raise KubesteadError(
                f"{self.params['kubeconfig']} is not on this node. Delegate the task to a control plane, or set kubeconfig."
            )
        wanted = self._wanted()
        if self.params["state"] == "absent":
            return self._result(self._delete(list(self._existing(wanted).values())))
        changes = self._predict(wanted) if self.module.check_mode else self._apply(wanted)
        if self.params["prune"]:
            changes += self._prune(wanted)
        if self.params["wait"] and not self.module.check_mode:
            self._wait(changes)
        return self._result(changes)

    def _result(self, changes: list[Change]) -> dict[str, t.Any]:
        changed = [change for change in changes if change.action != "unchanged"]
        result: dict[str, t.Any] = {
            "changed": bool(changed),
            "objects": [change.identity.result(change.action) for change in changes],
        }
        if self.module._diff:
            result["diff"] = [objects.difference(change.identity, change.before, change.after) for change in changed]
        return result

    def _wanted(self) -> list[Object]:
        """The given objects, those that others need first."""
        given = self.params["definition"]
        if isinstance(given, str):
            given = self._read("-", given) if given.strip() else []
        elif isinstance(given, dict):
            given = [given]
        elif not isinstance(given, list):
            raise KubesteadError(
                f"definition is a {type(given).__name__}; it must be a list of objects, one object, or YAML text."
            )
        given = [*given, *(thing for path in self.params["files"] for thing in self._read_file(path))]
        for number, thing in enumerate(given, 1):
            trouble = objects.problem(thing)
            if trouble:
                raise KubesteadError(f"Object {number} of definition is not a Kubernetes object: {trouble}.")
        if self.params["owner"]:
            given = [objects.labelled(thing, OWNER_LABEL, self.params["owner"]) for thing in given]
        return sorted(given, key=lambda thing: not objects.come_first(thing))

    def _read_file(self, path: str) -> list[t.Any]:
        if os.path.exists(path):
            return self._read(path)
        if self.module.check_mode:
            return []
        raise KubesteadError(f"{path}, one of files, is not on this node.")

    def _read(self, path: str, text: t.Optional[str] = None) -> list[t.Any]:
        """The objects of a YAML file, or of the text that stands for one."""
        # Removing a label that no object has is kubectl's way to read YAML without asking the API server. It prints the first objects
        # before it has read the last, so that a large text on its standard input would have both of us wait for each other.
        arguments = ("label", "--local", "-f", path, "-o", "json", f"{OWNER_LABEL}-")
        advice = f"{'definition' if path == '-' else path} has to be YAML of one or more Kubernetes objects, as kubectl apply reads it."
        return self.kubectl.run_json(*arguments, data=text, advice=advice)

    def _existing(self, wanted: list[Object]) -> dict[Identity, Object]:
        """Those of the wanted objects that the cluster has, as it has them."""
        served = [thing for thing in wanted if self._is_served(thing)]
        if not served:
            return {}
        found = self.kubectl.run_json(
            *("get", "-f", "-", "--ignore-not-found", "--show-managed-fields", "-o", "json"), data=_list(served)
        )
        return objects.by_identity(found)

    def _is_served(self, thing: Object) -> bool:
        group = objects.group_of(thing)
        return group in objects.BUILT_IN_GROUPS or thing["kind"] in self._kinds(thing["apiVersion"])

    def _kinds(self, api_version: str) -> set[str]:
        """The kinds that the API server serves in this version of a group."""
        known: dict[str, set[str]] = self.__dict__.setdefault("_known_kinds", {})
        if api_version not in known:
            outcome = self.kubectl.run("get", "--raw", f"/apis/{api_version}", check=False)
            resources = json_documents(outcome.stdout)[0].get("resources", []) if outcome.rc == 0 else []
            known[api_version] = {str(resource["kind"]) for resource in resources}
        return known[api_version]

    def _apply(self, wanted: list[Object]) -> list[Change]:
        before = self._existing(wanted)
        first = [thing for thing in wanted if objects.come_first(thing)]
        rest = [thing for thing in wanted if not objects.come_first(thing)]
        applied = self._server_side(first)
        if objects.defined_kinds(first):
            self._until_ready([thing for thing in applied if thing["kind"] == "CustomResourceDefinition"], 60)
        applied += self._server_side(rest)
        return [self._change(before.get(Identity.of(thing)), thing) for thing in applied]

    def _server_side(self, things: list[Object], *options: str) -> list[Object]:
        if not things:
            return []
        return self.kubectl.run_json(
            *("apply", "--server-side", "--force-conflicts", "--field-manager", self.params["field_manager"], *options),
            *("-f", "-", "--show-managed-fields", "-o", "json"),
            data=_list(things),
        )

    def _change(self, before: t.Optional[Object], after: Object) -> Change:
        identity = Identity.of(after)
        if before is None:
            return Change(identity, "created", None, after)
        differs = objects.differs(before, after, self.params["field_manager"])
        return Change(identity, "changed" if differs else "unchanged", before, after)

    def _predict(self, wanted: list[Object]) -> list[Change]:
        """What an apply would do, by a dry run on the server as far as the server can do one."""
        before = self._existing(wanted)
        namespaces = {thing["metadata"]["namespace"] for thing in wanted if thing["metadata"].get("namespace")}
        present = {thing["metadata"]["name"] for thing in self.kubectl.get("namespace", *sorted(namespaces))}
        ready: list[Object] = []
        early: list[Object] = []
        for thing in wanted:
            namespace = thing["metadata"].get("namespace")
            placed = not namespace or namespace in present
            (ready if placed and self._is_served(thing) else early).append(thing)
        changes = [
            self._change(before.get(Identity.of(thing)), thing)
            for thing in self._server_side(ready, "--dry-run=server")
        ]
        return changes + [Change(Identity.of(thing), "created", None, thing) for thing in early]

    def _prune(self, wanted: list[Object]) -> list[Change]:
        """Delete what carries our owner's label and is wanted no more; what another object owns goes with that one."""
        keep = set(objects.by_identity(wanted))
        kinds = ",".join(self.params["prune_kinds"])
        found = self.kubectl.get(kinds, "--all-namespaces", "--selector", f"{OWNER_LABEL}={self.params['owner']}")
        return self._delete(
            [
                thing
                for thing in found
                if Identity.of(thing) not in keep and not thing["metadata"].get("ownerReferences")
            ]
        )

    def _delete(self, things: list[Object]) -> list[Change]:
        if things and not self.module.check_mode:
            timeout = self.params["wait_timeout"]
            self.kubectl.run(
                *("delete", "-f", "-", "--ignore-not-found", f"--wait={'true' if self.params['wait'] else 'false'}"),
                f"--timeout={timeout}s",
                data=_list(list(reversed(things))),
            )
        return [Change(Identity.of(thing), "deleted", thing, None) for thing in things]

    def _wait(self, changes: list[Change]) -> None:
        self._until_ready([change.after for change in changes if change.after], self.params["wait_timeout"])

    def _until_ready(self, things: list[Object], timeout: float) -> None:
        """Wait for the objects to be ready, beginning with how the apply returned them."""
        pending = [thing for thing in things if objects.not_ready(thing)]
        if not pending:
            return
        try:
            wait_for(
                lambda: self._look(pending),
                lambda seen: not any(map(self._lacks, seen)),
                "objects to be ready",
                timeout,
                interval=0.5,
                describe=lambda seen: "; ".join(
                    f"{Identity.of(thing)}: {self._lacks(thing)}" for thing in seen if self._lacks(thing)
                ),
            )
        except WaitTimeoutError as error:
            troubles = self._troubles([thing for thing in error.last if self._lacks(thing)])
            raise KubesteadError(
                "\n".join([error.message, *troubles]), waited_seconds=round(error.waited, 1)
            ) from error

    def _lacks(self, thing: Object) -> t.Optional[str]:
        return objects.not_ready(thing, self.silent_nodes)

    def _look(self, things: list[Object]) -> list[Object]:
        seen = self.kubectl.run_json(
            "get", "-f", "-", "-o", "json", data=_list([_reference(thing) for thing in things])
        )
        for thing in seen:
            reason = objects.failed(thing)
            if reason:
                raise KubesteadError(f"{Identity.of(thing)} has failed: {reason}")
        # A machine that is off must not hold up the others.
        if any(thing["kind"] == "DaemonSet" and objects.not_ready(thing) for thing in seen):
            self.silent_nodes = sum(map(objects.is_silent, self.kubectl.get("nodes")))
        return seen

    def _troubles(self, things: list[Object]) -> list[str]:
        troubles = []
        for thing in things:
            selector = thing.get("spec", {}).get("selector", {}).get("matchLabels")
            if selector:
                terms = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
                namespace = thing["metadata"].get("namespace", "default")
                troubles += objects.pod_troubles(
                    self.kubectl.get("pods", "--namespace", namespace, "--selector", terms)
                )
        return troubles


def _reference(thing: Object) -> Object:
    metadata = {key: thing["metadata"][key] for key in ("name", "namespace") if key in thing["metadata"]}
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": metadata}


def _list(things: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
