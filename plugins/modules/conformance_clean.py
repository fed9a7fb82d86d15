#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: take away the conformance suite and what it left."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance_clean
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Take away the conformance suite and what it left
description:
  - Runs on the node of the suite that M(kubestead.cluster.conformance_start) has started. Ends the suite, then deletes what it made.
    These are the namespaces that carry its label, webhooks and API services that lead into one of those, definitions of kinds in examples'
    groups, and the taints that it puts on nodes. At last its own namespace, rights and files go. What was there before the suite stays.
  - Waits until the namespaces are gone, and fails with what keeps one where it stays.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.cleanup
  - kubestead.cluster.attributes.action_group_kubectl
options:
  timeout:
    description: Seconds that it may take until the namespaces are gone.
    type: int
    default: 300
  kubeconfig:
    description: Kubeconfig of an administrator, on the control plane.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Leave the cluster as it was
  kubestead.cluster.conformance_clean:
"""

RETURN = r"""
removed:
  description: What was taken away, and in check mode would be, as kind and name.
  returned: always
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Cluster
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "int", "default": 300},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    cluster = Cluster(Kubectl(module, module.params["kubeconfig"], patience=PATIENCE))

    def work() -> t.Dict[str, t.Any]:
        removed = cluster.remains() if module.check_mode else cluster.clean(module.params["timeout"])
        return {"changed": bool(removed), "removed": removed}

    conclude(module, work)


if __name__ == "__main__":
    main()
