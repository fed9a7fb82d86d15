#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the kubelets' serving certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_certificates
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Approves the kubelets' requests for serving certificates after checking them
description:
  - A kubelet with C(serverTLSBootstrap) asks the cluster to sign its serving certificate. Kubernetes leaves it to the administrator to
    approve such a request, because only they know which names and addresses a node has.
  - Approves the requests of the given nodes that ask for nothing but the node's own names and addresses, and waits until each of these
    kubelets serves a certificate that the cluster's authority has signed for it.
  - A request that asks for anything else is left undecided, and is an error. Requests of other nodes are left alone.
  - Runs on a control plane.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
    details: Tells which requests would be approved now; those that a kubelet has not made yet cannot be known.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  nodes:
    description: For the name of each node, its address in the inventory, or a list of them.
    type: dict
    required: true
  port:
    description: Port of the kubelets.
    type: int
    default: 10250
  authority:
    description: The cluster's certificate authority, a file on the control plane.
    type: path
    default: /etc/kubernetes/pki/ca.crt
  timeout:
    description: Seconds to wait for the kubelets to serve their certificates.
    type: int
    default: 60
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - name: Kubelet TLS bootstrapping
    description: Why these requests are not approved by Kubernetes itself.
    link: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

EXAMPLES = r"""
- name: Have two kubelets serve certificates of the cluster
  kubestead.cluster.kubelet_certificates:
    nodes:
      control-plane-1: 192.0.2.11
      worker-1: [192.0.2.21, "2001:db8::21"]
"""

RETURN = r"""
approved:
  description: Names of the requests that were approved, or would be in check mode.
  returned: success
  type: list
  elements: str
refused:
  description: For a node whose request was left undecided, what speaks against it.
  returned: always
  type: dict
lacking:
  description: For a node that does not serve a certificate of the cluster in time, what it does.
  returned: when waiting took too long
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._kubelet_certificates import KubeletCertificates
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "dict", "required": True},
            "port": {"type": "int", "default": 10250},
            "authority": {"type": "path", "default": "/etc/kubernetes/pki/ca.crt"},
            "timeout": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: KubeletCertificates(module).perform())


if __name__ == "__main__":
    main()
