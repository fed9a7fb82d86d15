#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: renew the certificates that kubeadm made for a control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_renew
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Renew the certificates that kubeadm made for a control plane
description:
  - Has C(kubeadm certs renew) make the certificates of this control plane anew where one of them is about to expire, restarts the static
    pods that read theirs only when they start, and makes sure that the servers show the new ones.
  - Before that it verifies that every certificate is signed by this cluster's authority and fits its key, and that all kubeconfigs trust
    that authority. A folder in which that is not so is refused, and so is one without the authorities' keys.
  - A control plane that is not healthy is refused, unless a certificate has expired.
  - What an interrupted renewal left, pods that were started before their certificates were written, is finished.
  - Certificates are good for a year, as kubeadm makes them. A cluster whose C(certificateValidityPeriod) is longer is refused.
  - The authorities themselves, and the kubelet's certificates, are left alone.
  - Runs on a control plane, on one after another.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
    details: Verifies everything that is verified before a renewal.
  diff_mode:
    support: none
    details: RV(renewed) tells the same.
  idempotent:
    support: full
    details: Without O(force).
options:
  before:
    description: How many days before the first of them expires they are renewed.
    type: int
    default: 60
  force:
    description: Renew them however long they are still good.
    type: bool
    default: false
  names:
    description: Which ones, as C(kubeadm certs renew) calls them. Without it, all.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that each static pod may take to be healthy again.
    type: int
    default: 120
seealso:
  - module: kubestead.cluster.certificates_state
  - module: kubestead.cluster.static_pod_restart
"""

EXAMPLES = r"""
- name: Renew what expires within a month
  kubestead.cluster.kubeadm_renew:
    before: 30
  throttle: 1
"""

RETURN = r"""
renewed:
  description: Which were renewed, or would be in check mode, as C(kubeadm certs renew) calls them.
  returned: success
  type: list
  elements: str
  sample: [apiserver, admin.conf]
restarted:
  description: Which static pods were restarted, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [kube-apiserver, kube-controller-manager, kube-scheduler]
not_after:
  description: When the first of them expires now.
  returned: success
  type: str
  sample: "2027-11-21T06:30:00Z"
strange:
  description: What does not belong to this cluster.
  returned: when the folder is refused for it
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._renewal import Renewal


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "before": {"type": "int", "default": 60},
            "force": {"type": "bool", "default": False},
            "names": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    conclude(module, Renewal(module).perform)


if __name__ == "__main__":
    main()
