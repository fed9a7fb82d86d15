#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the pods of the cluster's DNS on more than one node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_spread
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Moves CoreDNS' pods apart where all of them are on one node
description:
  - While a cluster is built, both of CoreDNS' pods start on the node that is ready first, and stay there. With that machine the
    cluster's DNS is lost for minutes.
  - Where another node can take them, all pods but the oldest are deleted. The scheduler then prefers other nodes; the one that is left
    answers meanwhile.
  - Runs on a control plane.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: RV(deleted) tells the same.
  idempotent:
    support: full
options:
  timeout:
    description:
      - Seconds to wait for the nodes to become ready, and then for the moved pods.
      - Nodes that are not ready by then are not waited for any longer, since they may be down.
    type: int
    default: 60
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Have the cluster's DNS survive the loss of a node
  kubestead.cluster.dns_spread:
  delegate_to: control-plane-1
  run_once: true
"""

RETURN = r"""
deleted:
  description: Names of the pods that were deleted to move them, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import is_ready
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

DNS = ("--namespace", "kube-system", "--selector", "k8s-app=kube-dns")
# What CoreDNS tolerates, as kubeadm deploys it.
TOLERATED = {"node-role.kubernetes.io/control-plane", "CriticalAddonsOnly"}
_Object = t.Mapping[str, t.Any]


def could_take_dns(node: _Object) -> bool:
    """Whether a node could take a pod of CoreDNS once it is ready; what taints it until then does not count."""
    return all(_bearable(taint) or taint["key"].startswith("node.kubernetes.io/") for taint in _taints(node))


def takes_dns(node: _Object) -> bool:
    """Whether the scheduler could put a pod of CoreDNS on a node."""
    return is_ready(node) and all(map(_bearable, _taints(node)))


def _taints(node: _Object) -> t.Sequence[_Object]:
    taints: t.Sequence[_Object] = node["spec"].get("taints", ())
    return taints


def _bearable(taint: _Object) -> bool:
    return taint["effect"] == "PreferNoSchedule" or taint["key"] in TOLERATED


def living(pods: t.Sequence[_Object]) -> list[_Object]:
    """The pods that are not about to go."""
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def crowded(
    pods: t.Sequence[_Object], nodes: t.Sequence[_Object], takes: t.Callable[[_Object], bool] = takes_dns
) -> list[str]:
    """The pods to delete: all but the oldest where all are on one node and another takes them."""
    staying = living(pods)
    places = {pod["spec"].get("nodeName") for pod in staying}
    others = {node["metadata"]["name"] for node in nodes if takes(node)} - places
    if len(staying) < 2 or len(places) > 1 or None in places or not others:
        return []
    ordered = sorted(staying, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
    return [pod["metadata"]["name"] for pod in ordered[1:]]


class Dns:
    """CoreDNS on the cluster that a kubeconfig names."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.timeout: int = module.params["timeout"]
        self.kubectl = Kubectl(module, module.params["kubeconfig"], PATIENCE)

    def perform(self) -> dict[str, t.Any]:
        """Move pods where that is needed."""
        if self.module.check_mode and not os.path.exists(self.kubectl.kubeconfig):
            return {"changed": False, "deleted": []}
        if not crowded(self._pods(), self._nodes(), could_take_dns):
            return {"changed": False, "deleted": []}
        doomed = crowded(self._pods(), self._nodes_when_ready())
        if doomed and not self.module.check_mode:
            self.kubectl.run("delete", "pod", "--namespace", "kube-system", "--wait=false", *doomed)
            wait_for(self._apart, bool, "CoreDNS on more than one node", self.timeout)
        return {"changed": bool(doomed), "deleted": doomed}

    def _pods(self) -> list[dict[str, t.Any]]:
        return self.kubectl.get("pods", *DNS)

    def _nodes(self) -> list[dict[str, t.Any]]:
        return self.kubectl.get("nodes")

    def _nodes_when_ready(self) -> list[dict[str, t.Any]]:
        try:
            return wait_for(self._nodes, lambda nodes: all(map(is_ready, nodes)), "the nodes to be ready", self.timeout)
        except WaitTimeoutError as error:
            nodes: list[dict[str, t.Any]] = error.last
            return nodes

    def _apart(self) -> bool:
        return len({pod["spec"].get("nodeName") for pod in living(self._pods())} - {None}) > 1


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, Dns(module).perform)


if __name__ == "__main__":
    main()
