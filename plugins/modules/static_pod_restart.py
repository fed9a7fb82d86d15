#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: restart the static pods of a control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: static_pod_restart
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Restart static pods of a control plane, one after another
description:
  - Ends the container of each pod in order and has the kubelet start a new one, then waits until that is healthy before the next
    pod follows.
  - Healthy is an API server whose C(/readyz) answers with 200, a member of etcd that knows a leader, and a controller manager and
    a scheduler whose C(/healthz) answers with 200. Only this node's own are asked.
  - Runs on a control plane. Restarting is what it is for, so it changes the node each time.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: RV(restarted) tells the same.
  idempotent:
    support: none
options:
  names:
    description:
      - The pods to restart. The order is always that of the choices.
      - Without it, all that this node has.
    type: list
    elements: str
    choices: [etcd, kube-apiserver, kube-controller-manager, kube-scheduler]
    default: []
  timeout:
    description: Seconds that each pod may take to be healthy again.
    type: int
    default: 120
seealso:
  - module: kubestead.cluster.kubeadm_renew
"""

EXAMPLES = r"""
- name: Restart what reads the kubeconfigs
  kubestead.cluster.static_pod_restart:
    names: [kube-controller-manager, kube-scheduler]
"""

RETURN = r"""
restarted:
  description: The pods that were restarted, or would be in check mode, in this order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The pod.
      type: str
      returned: always
    container:
      description: The id of its new container.
      type: str
      returned: when it was restarted
    seconds:
      description: From the end of the old container to the health of the new one.
      type: float
      returned: when it was restarted
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pods import NAMES, StaticPods


def restart(module: AnsibleModule) -> dict[str, t.Any]:
    """Restart what is asked for; gives the module's result."""
    timeout = float(module.params["timeout"])
    pods = StaticPods(module)
    names = pods.chosen(module.params["names"])
    if module.check_mode:
        return {"changed": bool(names), "restarted": [{"name": name} for name in names]}
    with node_lock(timeout):
        return {"changed": bool(names), "restarted": pods.restart(names, timeout)}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "choices": list(NAMES), "default": []},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: restart(module))


if __name__ == "__main__":
    main()
