#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: which add-ons a cluster has, and whether they are ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: addon_state
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Which add-ons of Kubestead a cluster has, and whether they are ready
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
      sample: [metrics-server]
    kubestead_addon_workloads:
      description: The workloads of which they are made, sorted.
      type: list
      elements: dict
      returned: always
      contains:
        addon:
          description: Value of the label.
          type: str
          returned: always
        name:
          description: Kind, namespace and name.
          type: str
          returned: always
        version:
          description: The tag of its image. Empty where that has none.
          type: str
          returned: always
        trouble:
          description: What it lacks to be ready. Empty where it is.
          type: str
          returned: always
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _objects as objects
from ansible_collections.kubestead.cluster.plugins.module_utils._apply import OWNER_LABEL
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

WORKLOADS = "deployments.apps,daemonsets.apps,statefulsets.apps"


def look(module: AnsibleModule) -> dict[str, t.Any]:
    """The add-ons, as facts."""
    kubeconfig = module.params["kubeconfig"]
    found = Kubectl(module, kubeconfig, PATIENCE).get(WORKLOADS, "--all-namespaces", "--selector", OWNER_LABEL)
    return _facts(sorted(map(_workload, found), key=lambda one: (one["addon"], one["name"])))


def _workload(item: objects.Object) -> dict[str, str]:
    meta = item["metadata"]
    containers = item.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    # Of host:port/name:tag@digest, what stands between the last colon of the last part and the digest.
    image = containers[0].get("image", "").partition("@")[0].rpartition("/")[2]
    return {
        "addon": meta["labels"][OWNER_LABEL],
        "name": f"{item['kind']} {meta.get('namespace', '')}/{meta['name']}",
        "version": image.partition(":")[2],
        "trouble": objects.not_ready(item) or "",
    }


def _facts(workloads: t.Sequence[t.Mapping[str, str]]) -> dict[str, t.Any]:
    owners = sorted({one["addon"] for one in workloads})
    return {
        "changed": False,
        "ansible_facts": {"kubestead_addons": owners, "kubestead_addon_workloads": list(workloads)},
    }


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
