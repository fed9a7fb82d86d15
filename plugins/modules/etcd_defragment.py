#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: defragmentation of etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_defragment
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The space that etcd does not use, given back to the disk
description:
  - Defragments the members of etcd one after another, the leader last, and waits for each to be well again before the next.
  - Then takes back the alarm V(NOSPACE), with which etcd takes no writes, if all members have room again.
  - Refuses where a member is not well, since a member answers nobody while it is defragmented, and the others have to be a majority.
  - Runs on a control plane whose etcd kubeadm has made, and reaches all members from there. Call it on one of them.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
    details: Looks at the members, and returns what could be freed.
  diff_mode:
    support: none
    details: RV(members) and RV(freed) tell what changed.
  idempotent:
    support: none
    details: Defragments each time.
options:
  timeout:
    description: Seconds that one member may take, and may need to be well again.
    type: int
    default: 300
seealso:
  - module: kubestead.cluster.etcd_members
"""

EXAMPLES = r"""
- name: Defragment etcd
  kubestead.cluster.etcd_defragment:
  run_once: true
  register: defragmented
"""

RETURN = r"""
freed:
  description: Bytes that all members together gave back, or in check mode could.
  returned: success
  type: int
disarmed:
  description: Names of the members whose alarm V(NOSPACE) was taken back.
  returned: success
  type: list
  elements: str
members:
  description: The members, each as RV(kubestead.cluster.etcd_members#module:members) has it.
  returned: success
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_members import Members, of_this_node
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def perform(members: Members, check_mode: bool) -> dict[str, t.Any]:
    """Defragment; gives the module's result."""
    if not check_mode:
        return members.defragment()
    found = members.look()
    unused = sum(int(member["size"]) - int(member["in_use"]) for member in found)
    return {"changed": True, "freed": unused, "disarmed": [], "members": found}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"timeout": {"type": "int", "default": 300}},
        supports_check_mode=True,
    )
    conclude(module, lambda: perform(of_this_node(float(module.params["timeout"])), module.check_mode))


if __name__ == "__main__":
    main()
