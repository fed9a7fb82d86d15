#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the settings of a node that runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_settings
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Bring a node that runs to new settings, restarting only the services concerned
description:
  - Has kubeadm write what it would write on this node now, in a dry run, and compares that with what lies there. That is the kubelet's
    configuration, and on a control plane the manifests of the static pods and the names in the API server's certificate.
  - A static pod whose manifest differs gets the new one and is waited for until it is healthy, etcd first, then the API server, the
    controller manager and the scheduler. Then the kubelet is restarted where its configuration differs, until the node is Ready.
    What does not run with its new settings gets the old ones back, and the module fails.
  - The API server takes up a certificate with other names without being restarted.
  - A setting that a cluster keeps for its life (address ranges, DNS domain, endpoint, name, the node's address, where etcd runs and its
    data lie, the container runtime's socket) is refused before anything is changed.
  - A node that is no member of a cluster is left alone. The version of Kubernetes stays the one that the node runs.
  - Run it on one node at a time. In check mode it tells which nodes differ.
  - The proxies for the control plane come from the task's environment, as they do for M(kubestead.cluster.kubeadm_init).
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows each file that changes, without credentials in URLs.
  idempotent:
    support: full
options:
  config:
    description:
      - The documents of kubeadm's configuration, as M(kubestead.cluster.kubeadm_init) takes them, with an InitConfiguration of this node
        (its address, port and patches).
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds that each service may take to be healthy again, and that another run on the same node is waited for.
    type: int
    default: 180
seealso:
  - module: kubestead.cluster.cluster_settings
  - module: kubestead.cluster.kubeadm_init
"""

EXAMPLES = r"""
- name: Bring the node to its settings
  kubestead.cluster.kubeadm_settings:
    config: "{{ kubeadm_documents }}"
  throttle: 1
"""

RETURN = r"""
differences:
  description: What is, or was, to be another.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: What reads it.
      type: str
      returned: always
    path:
      description: The file.
      type: str
      returned: always
  sample: [{service: kube-apiserver, path: /etc/kubernetes/manifests/kube-apiserver.yaml}]
restarted:
  description: The services that were restarted.
  returned: success
  type: list
  elements: str
  sample: [kube-apiserver, kubelet]
pod_log:
  description: The last complaints of a static pod that did not become healthy.
  returned: failure
  type: list
  elements: str
kubelet_log:
  description: The last complaints of a kubelet that did not report.
  returned: failure
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._node_settings import NodeSettings


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    conclude(module, NodeSettings(module).perform)


if __name__ == "__main__":
    main()
