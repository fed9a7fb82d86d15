#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a node without pods, or open to them again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Drains, cordons or uncordons a node
description:
  - Cordons a node and evicts its pods through the Eviction API, which respects PodDisruptionBudgets, and waits until they are gone.
  - Pods of DaemonSets and static pods stay.
  - A drain that no waiting can finish, since a PodDisruptionBudget wants as many pods as there are, or two of them count the same pod, is
    refused before anything is changed.
  - A drain that is not finished in time fails, names each pod that is left and the PodDisruptionBudget that holds it, and uncordons the
    node where it took pods before. What was evicted by then runs elsewhere.
  - The annotation C(kubestead.io/cordoned) marks a node that this module has cordoned. RV(was_schedulable) is right for it also when the
    drain was interrupted and is run again.
  - A node whose kubelet does not report is not drained, since its pods cannot end. O(dead) is for machines that are off for good.
  - Runs on a control plane.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
    details: RV(evicted) holds the pods that would be evicted. What a drain is refused for, is refused.
  diff_mode:
    support: none
    details: RV(evicted) tells the same.
  idempotent:
    support: full
options:
  name:
    description: Name of the node. One that the cluster does not have is no error, see RV(exists).
    type: str
    required: true
  state:
    description:
      - With V(drained) the node takes no new pods and has none but those of DaemonSets and static ones.
      - With V(cordoned) it takes no new pods, and with V(uncordoned) it does.
    type: str
    choices: [drained, cordoned, uncordoned]
    default: drained
  timeout:
    description: Seconds for the whole drain, the time that pods take to end included.
    type: int
    default: 300
  delete_emptydir_data:
    description: Whether pods go that lose the data of an V(emptyDir) with it. Without, a node that has some is refused.
    type: bool
    default: true
  force:
    description: Whether pods go that nothing brings back, which RV(uncontrolled) names. Without, a node that has some is refused.
    type: bool
    default: true
  dead:
    description:
      - Whether the machine is off for good. Its pods are then deleted at once, without their end being waited for and without regard to
        PodDisruptionBudgets, since they do not run.
      - The cluster must have given the node up, which is waited for within O(timeout). Where its kubelet still reports, that is an error.
    type: bool
    default: false
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Drain a node before it is switched off
  kubestead.cluster.node_drain:
    name: worker-1
    timeout: 600
  delegate_to: control-plane-1
  register: drain

- name: Let it take pods again, unless its administrator had cordoned it
  kubestead.cluster.node_drain:
    name: worker-1
    state: uncordoned
  delegate_to: control-plane-1
  when: drain.was_schedulable
"""

RETURN = r"""
exists:
  description: Whether the cluster has the node. Where it has not, nothing was done.
  returned: success
  type: bool
was_schedulable:
  description: Whether the node took pods before it was drained, by this run or by an earlier one that was interrupted.
  returned: success
  type: bool
evicted:
  description: Namespaces and names of the pods that were evicted, or would be in check mode; of a failed drain, those that have gone.
  returned: always
  type: list
  elements: str
  sample: [default/web-7c5ddbdf54-x2x8k]
skipped:
  description: The pods that stay.
  returned: success
  type: list
  elements: dict
  contains:
    pod:
      description: Namespace and name of the pod.
      type: str
      returned: always
    reason:
      description: V(DaemonSet) or V(static pod).
      type: str
      returned: always
uncontrolled:
  description: Those of the evicted pods that nothing brings back, since no controller has made them.
  returned: success
  type: list
  elements: str
blocked:
  description: The pods that PodDisruptionBudgets held to the end.
  returned: when the drain failed
  type: list
  elements: dict
  contains:
    pod:
      description: Namespace and name of the pod.
      type: str
      returned: always
    budget:
      description: Namespace and name of the PodDisruptionBudget.
      type: str
      returned: always
    rule:
      description: What the budget asks for.
      type: str
      returned: always
      sample: "minAvailable: 100%"
    desired_healthy:
      description: How many pods that makes.
      type: int
      returned: always
    current_healthy:
      description: How many pods are healthy.
      type: int
      returned: always
    expected_pods:
      description: How many pods there should be.
      type: int
      returned: always
    disruptions_allowed:
      description: How many of them may go now.
      type: int
      returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._drain import Drain
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "cordoned", "uncordoned"], "default": "drained"},
            "timeout": {"type": "int", "default": 300},
            "delete_emptydir_data": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": True},
            "dead": {"type": "bool", "default": False},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, Drain(module).perform)


if __name__ == "__main__":
    main()
