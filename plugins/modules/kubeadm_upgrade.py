#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a node's part of an upgrade that kubeadm does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Upgrade what kubeadm made on this node
description:
  - Runs C(kubeadm upgrade apply) on the control plane that is the first to get a release, and C(kubeadm upgrade node) on all other nodes.
    Which of them it is, kubeadm's record of the cluster decides.
  - A node that has the release is left as it is.
  - An upgrade of ours that was interrupted is run again, which kubeadm allows for.
  - Of the copies of etcd's data that kubeadm makes below C(/etc/kubernetes/tmp), only the newest stays.
  - kubeadm itself must be of the release already. The kubelet's package is not touched, and the kubelet not started again.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
  - kubestead.cluster.options.kubeadm_flags
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  version:
    description: The release, as V(1.37.1).
    type: str
    required: true
  timeout:
    description: Seconds that kubeadm may take, and that another run on the same node is waited for.
    type: int
    default: 900
seealso:
  - module: kubestead.cluster.upgrade_plan
  - module: kubestead.cluster.node_drain
  - module: kubestead.cluster.node_ready
"""

EXAMPLES = r"""
- name: Upgrade the node
  kubestead.cluster.kubeadm_upgrade:
    version: 1.37.1
    patches_directory: /etc/kubernetes/patches
"""

RETURN = r"""
operation:
  description: What kubeadm was to do, V(apply) or V(node), or V(none) where the node has the release.
  returned: success
  type: str
phases:
  description: The phases that kubeadm went through, and the seconds that each took, in their order. Empty where nothing was to do.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the phase, as kubeadm prints it.
      type: str
      returned: always
    seconds:
      description: Seconds that it took.
      type: float
      returned: always
  sample: [{name: preflight, seconds: 5.1}, {name: staticpods, seconds: 41.9}]
seconds:
  description: Seconds that kubeadm took.
  returned: when it ran
  type: float
kubelet_log:
  description: The kubelet's last complaints.
  returned: failure
  type: list
  elements: str
pod_logs:
  description: The last complaints of each container of the control plane.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import FLAG_OPTIONS
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._node_upgrade import NodeUpgrade


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            **FLAG_OPTIONS,
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: NodeUpgrade(module).perform())


if __name__ == "__main__":
    main()
