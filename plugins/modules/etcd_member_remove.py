#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a member of etcd taken out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member_remove
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Takes a node's member out of etcd
description:
  - Makes sure, at the moment of the removal, that those that stay are a majority that works, and waits until they have a leader.
  - Does nothing where etcd has no such member, or is not the cluster's own.
  - Runs on a control plane that stays.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: RV(members) tells who stays.
  idempotent:
    support: full
options:
  name:
    description: Name of the node.
    type: str
    required: true
  address:
    description: Its address, by which a member is known that has never started.
    type: str
    default: ""
  timeout:
    description: Seconds to wait for a leader.
    type: int
    default: 30
seealso:
  - module: kubestead.cluster.removal_plan
"""

EXAMPLES = r"""
- name: Take a control plane that is off for good out of etcd
  kubestead.cluster.etcd_member_remove:
    name: control-plane-3
  delegate_to: control-plane-1
"""

RETURN = r"""
members:
  description: Names of the members that stay. Empty where etcd is not the cluster's own.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd_quorum as quorum
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for


def remove(module: AnsibleModule, etcd: Etcd, ask: t.Callable[..., Etcd] = Etcd) -> dict[str, t.Any]:
    """Take the member out; gives the module's result."""
    members = etcd.members()
    member = quorum.member_of(module.params["name"], module.params["address"], members)
    staying = sorted(one.name for one in members if one != member)
    if member is None:
        return {"changed": False, "members": staying}
    trouble = quorum.trouble(members, quorum.working(members, ask), [member])
    if trouble:
        raise KubesteadError(f"{trouble} Nothing was changed.")
    if not module.check_mode:
        etcd.remove(member)
        rest = [one for one in members if one != member]
        wait_for(
            lambda: quorum.working(rest, ask),
            lambda healthy: len(healthy) > len(rest) // 2,
            "etcd to have a leader among those that stay",
            module.params["timeout"],
            describe=lambda healthy: f"{len(healthy)} of {len(rest)} members work",
        )
    return {"changed": True, "members": staying}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if KubernetesState().external_etcd:
        module.exit_json(changed=False, members=[])
    conclude(module, lambda: remove(module, Etcd(["localhost"])))


if __name__ == "__main__":
    main()
