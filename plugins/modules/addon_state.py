#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: which add-ons a cluster has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: addon_state
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Which add-ons of Kubestead a cluster has
description:
  - Looks for workloads that carry the label C(kubestead.io/owner), with which M(kubestead.cluster.kubectl_apply) marks what is ours.
  - One question for all add-ons, so that a role need not look for an add-on that is off and was never there.
  - Runs on a control plane. Where there is no cluster yet, it has none.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.facts
attributes:
  facts:
    support: full
options:
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: See which add-ons there are
  kubestead.cluster.addon_state:
"""

RETURN = r"""
ansible_facts:
  description: The facts of this host.
  returned: always
  type: dict
  contains:
    kubestead_addons:
      description: Values of the label, sorted.
      type: list
      elements: str
      returned: always
      sample: [flannel, metrics-server]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._apply import OWNER_LABEL
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

WORKLOADS = "deployments.apps,daemonsets.apps,statefulsets.apps"


def look(module: AnsibleModule) -> dict[str, t.Any]:
    """The add-ons, as facts."""
    kubeconfig = module.params["kubeconfig"]
    found = Kubectl(module, kubeconfig, PATIENCE).get(WORKLOADS, "--all-namespaces", "--selector", OWNER_LABEL)
    return _facts({item["metadata"]["labels"][OWNER_LABEL] for item in found})


def _facts(owners: t.Iterable[str]) -> dict[str, t.Any]:
    return {"changed": False, "ansible_facts": {"kubestead_addons": sorted(owners)}}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"}},
        supports_check_mode=True,
    )
    if not os.path.exists(module.params["kubeconfig"]):
        module.exit_json(**_facts([]))
    conclude(module, lambda: look(module))


if __name__ == "__main__":
    main()
