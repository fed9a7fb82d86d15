#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: labels and taints of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_labels_and_taints
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Labels and taints of nodes, without touching those of others
description:
  - Gives nodes of a cluster the labels and taints that the inventory says, and takes off those that it said before and says no more.
  - What somebody else has set stays. What was set from here is remembered in the annotation C(kubestead.io/labels-and-taints) of the node.
  - The taint C(node-role.kubernetes.io/control-plane:NoSchedule) of a control plane is always the inventory's.
  - Runs on a control plane. Nodes that the cluster does not have are passed over.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the labels and taints that change.
  idempotent:
    support: full
options:
  labels:
    description: For the name of each node, its labels.
    type: dict
    required: true
  taints:
    description: For the name of each node, its taints, a list of C(key), C(value) and C(effect).
    type: dict
    required: true
  control_planes:
    description: The nodes whose taint C(node-role.kubernetes.io/control-plane:NoSchedule) is the inventory's.
    type: list
    elements: str
    default: []
  schedule_on_control_planes:
    description: Whether ordinary pods may run on O(control_planes), so that they do not have that taint.
    type: bool
    default: false
  kubeconfig:
    description: The kubeconfig to reach the API server with.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.kubectl_apply
"""

EXAMPLES = r"""
- name: Give the nodes their labels and taints
  kubestead.cluster.node_labels_and_taints:
    labels:
      worker-1: {disk: fast}
    taints:
      worker-1: [{key: dedicated, value: gpu, effect: NoSchedule}]
"""

RETURN = r"""
nodes:
  description: The nodes that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

RECORD = "kubestead.io/labels-and-taints"
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "NoSchedule")
# A controller may write to the node at the same time.
ATTEMPTS = 5
_Object = t.Mapping[str, t.Any]


def taint_identity(taint: _Object) -> tuple[str, str]:
    """What tells a taint from the others of a node."""
    return str(taint["key"]), str(taint["effect"])


def wanted(params: _Object) -> dict[str, dict[str, t.Any]]:
    """What is wanted of each node that the options name."""
    labels, taints, control_planes = params["labels"], params["taints"], params["control_planes"]
    closed = [] if params["schedule_on_control_planes"] else [dict(zip(("key", "effect"), CONTROL_PLANE))]
    return {
        name: {
            "labels": labels.get(name) or {},
            "taints": [*(closed if name in control_planes else []), *(taints.get(name) or [])],
            "control_plane": name in control_planes,
        }
        for name in [*labels, *taints, *control_planes]
    }


def patch(node: _Object, wanted: _Object) -> dict[str, t.Any]:
    """The merge patch that gives a node what is wanted; empty where it has it."""
    metadata, spec = node["metadata"], node.get("spec") or {}
    record = json.loads((metadata.get("annotations") or {}).get(RECORD, "{}"))
    labels = {key: str(value) for key, value in (wanted.get("labels") or {}).items()}
    present = metadata.get("labels") or {}
    changed: dict[str, t.Optional[str]] = {key: value for key, value in labels.items() if present.get(key) != value}
    changed.update({key: None for key in record.get("labels", []) if key in present and key not in labels})
    ours = {taint_identity(taint): taint for taint in wanted.get("taints") or []}
    managed = {*ours, *((key, effect) for key, effect in record.get("taints", []))}
    managed |= {CONTROL_PLANE} if wanted.get("control_plane") else set()
    found = {taint_identity(taint): taint.get("value") or "" for taint in spec.get("taints") or []}
    kept = [taint for taint in spec.get("taints") or [] if taint_identity(taint) not in managed]
    right = {identity: value for identity, value in found.items() if identity in managed} == {
        identity: taint.get("value") or "" for identity, taint in ours.items()
    }
    remembered = {"labels": sorted(labels), "taints": sorted(list(one) for one in ours if one != CONTROL_PLANE)}
    remembered = {key: value for key, value in remembered.items() if value}
    result: dict[str, t.Any] = {"labels": changed} if changed else {}
    if remembered != record:
        text = json.dumps(remembered, sort_keys=True) if remembered else None
        result["annotations"] = {RECORD: text}
    whole: dict[str, t.Any] = {"metadata": result} if result else {}
    if not right:
        whole["spec"] = {"taints": [*kept, *ours.values()]}
    return whole


def difference(node: _Object, change: _Object) -> dict[str, str]:
    """What Ansible shows of a change."""
    labels = change.get("metadata", {}).get("labels", {})
    present = node["metadata"].get("labels") or {}
    before: dict[str, t.Any] = {"labels": {key: present[key] for key in labels if key in present}}
    after: dict[str, t.Any] = {"labels": {key: value for key, value in labels.items() if value is not None}}
    if "spec" in change:
        before["taints"] = (node.get("spec") or {}).get("taints") or []
        after["taints"] = change["spec"]["taints"]
    header = f"Node {node['metadata']['name']}"
    texts = [json.dumps(one, indent=1, sort_keys=True) + "\n" for one in (before, after)]
    return {"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}


class Nodes:
    """The nodes of the cluster that a kubeconfig names."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.wanted = wanted(module.params)
        self.kubectl = Kubectl(module, module.params["kubeconfig"], PATIENCE)

    def perform(self) -> dict[str, t.Any]:
        """Bring each node to what is wanted of it."""
        if self.module.check_mode and not os.path.exists(self.kubectl.kubeconfig):
            return {"changed": False, "nodes": []}
        changes = self._changes()
        if not self.module.check_mode:
            self._bring(changes)
        result: dict[str, t.Any] = {
            "changed": bool(changes),
            "nodes": [node["metadata"]["name"] for node, _change in changes],
        }
        if self.module._diff:
            result["diff"] = [difference(node, change) for node, change in changes]
        return result

    def _changes(self) -> list[tuple[dict[str, t.Any], dict[str, t.Any]]]:
        found = [node for node in self.kubectl.get("nodes") if node["metadata"]["name"] in self.wanted]
        changes = [(node, patch(node, self.wanted[node["metadata"]["name"]])) for node in found]
        return [(node, change) for node, change in changes if change]

    def _bring(self, changes: list[tuple[dict[str, t.Any], dict[str, t.Any]]]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            failures = [error for error in (self._write(*change) for change in changes) if error]
            if not failures:
                return
            if attempt == ATTEMPTS or any("(Conflict)" not in error.message for error in failures):
                raise failures[0]
            changes = self._changes()

    def _write(self, node: _Object, change: _Object) -> t.Optional[KubesteadError]:
        """Write one node's change, unless the node was changed meanwhile; gives the error."""
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        whole = {**change, "metadata": {**change.get("metadata", {}), **version}}
        outcome = self.kubectl.run(
            *("patch", "node", node["metadata"]["name"], "--type=merge", "--patch", json.dumps(whole)), check=False
        )
        return outcome.error() if outcome.rc else None


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "labels": {"type": "dict", "required": True},
            "taints": {"type": "dict", "required": True},
            "control_planes": {"type": "list", "elements": "str", "default": []},
            "schedule_on_control_planes": {"type": "bool", "default": False},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, Nodes(module).perform)


if __name__ == "__main__":
    main()
