#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what an upgrade has to do, and whether it may."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: What an upgrade of a cluster has to do on each node, and whether it may
description:
  - Looks at what runs. That is the API servers and the other static pods of each control plane, each kubelet, kubeadm's record of the
    cluster, and the members of etcd.
  - Refuses an older release, a skipped minor release, kubelets that are too old for the new API servers or newer than those that run, and
    a cluster in which a node, a static pod of a control plane or a member of etcd is not healthy.
  - After an upgrade that was interrupted it tells what is left to do. Since things may still be starting then, it waits for them.
  - Runs on a control plane.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.action_group_kubectl
options:
  version:
    description: The release that the cluster is to become, as V(1.37.1).
    type: str
    required: true
  nodes:
    description: Names of the nodes that are to be upgraded. Those that the cluster does not have are left out.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait, after an interrupted upgrade, for what is not healthy.
    type: int
    default: 120
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.kubeadm_upgrade
  - module: kubestead.cluster.node_ready
"""

EXAMPLES = r"""
- name: See what is to be done
  kubestead.cluster.upgrade_plan:
    version: 1.37.1
    nodes: [control-plane-1, worker-1]
  delegate_to: control-plane-1
  run_once: true
  register: upgrade
"""

RETURN = r"""
nodes:
  description: For each of the nodes what it runs and what it needs.
  returned: success
  type: dict
  sample:
    control-plane-1:
      control_plane: true
      control_plane_version: 1.36.4
      kubelet: 1.36.4
      steps: [control-plane, kubelet]
      drain: true
todo:
  description: The nodes that need something.
  returned: success
  type: list
  elements: str
begun:
  description: Whether some part of the cluster is the wanted release already.
  returned: success
  type: bool
unknown:
  description: The names that the cluster does not have.
  returned: success
  type: list
  elements: str
others:
  description: The cluster's nodes that were not named, and that do not have the wanted release.
  returned: success
  type: list
  elements: str
reasons:
  description: Why the upgrade may not begin.
  returned: failure
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

QUICK = "--request-timeout=10s"
STATIC_PODS = ("--namespace=kube-system", "--selector=tier=control-plane")
RECORD = ("configmap", "kubeadm-config", "--namespace=kube-system")
ETCD_SECONDS = 5
UNHEALTHY = (
    "Bring it to health, or take it out of the cluster, and run the same again: an upgrade takes one machine after the other out of "
    "service, and must not begin with one that is missing already."
)


class Plan:
    """The plan of an upgrade."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.target = _upgrade.Version.of(module.params["version"])
        self.chosen: list[str] = module.params["nodes"]
        self.kubectl = Kubectl(module, module.params["kubeconfig"])
        self.state = KubernetesState()

    def perform(self) -> dict[str, t.Any]:
        """Look, judge, and tell."""
        cluster = self.look()
        reasons = _upgrade.refusals(self.target, cluster, self.chosen)
        if reasons:
            raise _upgrade.refuse(self.target, reasons)
        cluster = self._healthy(cluster)
        nodes = _upgrade.plan(self.target, cluster, self.chosen)
        return {
            "changed": False,
            "nodes": nodes,
            "todo": [name for name, node in nodes.items() if node["steps"]],
            "begun": cluster.begun(self.target),
            "unknown": [name for name in self.chosen if name not in cluster.nodes],
            "others": [
                node.name
                for node in cluster.nodes.values()
                if node.name not in self.chosen and node.kubelet != self.target
            ],
        }

    def look(self) -> _upgrade.Cluster:
        """The cluster as it is now."""
        records = self.kubectl.get(*RECORD, QUICK)
        if not records:
            raise KubesteadError(
                "This cluster has no ConfigMap kubeadm-config in kube-system, so kubeadm did not make it and cannot upgrade it. "
                "Nothing was changed."
            )
        nodes, pods = self.kubectl.get("nodes", QUICK), self.kubectl.get("pods", *STATIC_PODS, QUICK)
        return _upgrade.read_cluster(nodes, pods, records[0], self._etcd())

    def _etcd(self) -> list[str]:
        if self.state.external_etcd:
            return []
        try:
            members = Etcd(["localhost"], timeout=ETCD_SECONDS).members()
        except (KubesteadError, OSError) as error:
            return [f"etcd does not list its members: {getattr(error, 'message', error)}"]
        return _upgrade.etcd_sickness(members, lambda host: Etcd([host], timeout=ETCD_SECONDS).status())

    def _healthy(self, cluster: _upgrade.Cluster) -> _upgrade.Cluster:
        """The cluster once it is healthy, which is waited for only where an upgrade was interrupted."""
        if not cluster.begun(self.target):
            self._refuse_sick(cluster)
            return cluster
        try:
            return wait_for(self.look, lambda seen: not seen.sickness(), "health", self.module.params["timeout"], 2)
        except WaitTimeoutError as error:
            self._refuse_sick(error.last)
            raise

    def _refuse_sick(self, cluster: _upgrade.Cluster) -> None:
        sickness = cluster.sickness()
        if sickness:
            raise _upgrade.refuse(self.target, [f"{'; '.join(sickness)}. {UNHEALTHY}"])


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 120},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: Plan(module).perform())


if __name__ == "__main__":
    main()
