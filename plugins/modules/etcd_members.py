#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the members of etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_members
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The members of etcd, and how each of them is
description:
  - Asks this control plane's member of etcd for the members and their alarms, and each member for its leader, version and size.
  - Fails where etcd has lost its majority. M(kubestead.cluster.cluster_state) tells of single members then.
  - Runs on a control plane whose etcd kubeadm has made.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
options: {}
seealso:
  - module: kubestead.cluster.etcd_defragment
"""

EXAMPLES = r"""
- name: See the members of etcd
  kubestead.cluster.etcd_members:
  register: etcd
"""

RETURN = r"""
members:
  description: The members, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the member, empty until it has started for the first time.
      type: str
      returned: always
    id:
      description: Its number, in hexadecimal digits as etcdctl writes it.
      type: str
      returned: always
    addresses:
      description: Where the other members reach it.
      type: list
      elements: str
      returned: always
    learner:
      description: Whether it has no vote yet.
      type: bool
      returned: always
    leader:
      description: Whether it leads.
      type: bool
      returned: always
    version:
      description: Its version of etcd.
      type: str
      returned: always
    size:
      description: Bytes that its database has on the disk.
      type: int
      returned: always
    in_use:
      description: Bytes of those that hold data. The rest is what defragmentation gives back.
      type: int
      returned: always
    quota:
      description: Bytes that its database may have.
      type: int
      returned: always
    alarms:
      description: Alarms that it has raised, such as V(NOSPACE), with which etcd takes no writes.
      type: list
      elements: str
      returned: always
    error:
      description: Why it is not well. Empty where it is.
      type: str
      returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_members import of_this_node
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    conclude(module, lambda: {"changed": False, "members": of_this_node().look()})


if __name__ == "__main__":
    main()
