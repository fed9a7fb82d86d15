#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: have the kubelet renew the certificate that it shows."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_renew
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Have the kubelet renew the certificate that it shows
description:
  - A kubelet that was given no other makes the certificate that it shows on its port by itself, good for a year, and keeps it when it has
    expired. Where that is about to happen, the file is removed and the kubelet restarted, which makes another. Pods run on meanwhile.
  - Where the cluster signs that certificate (C(serverTLSBootstrap)), the kubelet asks for another one in time, and somebody has to approve
    it. Where the old one is about to expire all the same, it is removed and the kubelet restarted, which asks at once. Have
    M(kubestead.cluster.kubelet_certificates) approve it; logs, exec and metrics of the node's pods have to wait for that.
  - A certificate of the user's own (C(tlsCertFile)) is left alone, and so is the kubelet's client certificate, which it rotates.
  - Runs on any node.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: There is nothing to show but RV(not_after).
  idempotent:
    support: full
    details: Without O(force).
options:
  before:
    description: How many days before it expires it is renewed.
    type: int
    default: 60
  force:
    description: Renew it however long it is still good.
    type: bool
    default: false
  timeout:
    description: Seconds until the kubelet must show the new one.
    type: int
    default: 60
seealso:
  - module: kubestead.cluster.kubeadm_renew
  - module: kubestead.cluster.kubelet_certificates
"""

EXAMPLES = r"""
- name: Renew the certificate of the kubelet's port
  kubestead.cluster.kubelet_renew:
"""

RETURN = r"""
not_after:
  description: When it expires now; nothing where it is the user's own, or the cluster has not signed it yet.
  returned: success
  type: str
  sample: "2027-11-21T06:30:00Z"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._kubelet_renewal import KubeletRenewal
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "before": {"type": "int", "default": 60},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    conclude(module, KubeletRenewal(module).perform)


if __name__ == "__main__":
    main()
