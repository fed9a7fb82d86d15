#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the configuration that a built cluster keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_settings
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Bring the configuration that a built cluster keeps to that of the inventory
description:
  - kubeadm keeps a cluster's configuration in the cluster, in the ConfigMaps C(kubeadm-config), C(kubelet-config) and C(kube-proxy). Joins
    and upgrades take it from there. Where the given configuration is another than the one given before, the module uploads it, as kubeadm
    does, and has kube-proxy start again where its part changed, one node after the other.
  - What was given is remembered in the annotation C(kubestead.io/settings) of C(kubeadm-config), so that a setting that is no longer given
    is noticed too.
  - The version of Kubernetes stays the one that the cluster has, whatever the configuration says.
  - Runs on a control plane. M(kubestead.cluster.kubeadm_settings) brings the nodes to the configuration, and goes first.
  - The proxies for kube-proxy come from the task's environment, as they do for M(kubestead.cluster.kubeadm_init).
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows what was given before and what is given now.
  idempotent:
    support: full
options:
  config:
    description: The documents of kubeadm's configuration, as M(kubestead.cluster.kubeadm_init) takes them.
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds that kube-proxy may take to start on all nodes, and that another run on the same node is waited for.
    type: int
    default: 300
seealso:
  - module: kubestead.cluster.kubeadm_settings
  - module: kubestead.cluster.kubeadm_init
"""

EXAMPLES = r"""
- name: Keep the configuration in the cluster
  kubestead.cluster.cluster_settings:
    config: "{{ kubeadm_documents }}"
"""

RETURN = r"""
differences:
  description: The kinds of the documents that are others than before. All of them where nothing was remembered.
  returned: success
  type: list
  elements: str
  sample: [KubeProxyConfiguration]
restarted:
  description: V(kube-proxy) where it was started again.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_settings import ClusterSettings
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    conclude(module, ClusterSettings(module).perform)


if __name__ == "__main__":
    main()
