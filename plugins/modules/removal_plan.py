#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: whether nodes can leave a cluster, and how."""

from __future__ import annotations

DOCUMENTATION = r"""
module: removal_plan
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Tells which nodes can leave a cluster, and in which order
description:
  - Judges by the cluster as it is, its nodes and the members of its etcd, and not by a place in the inventory.
  - Fails with every mistake in one message, for a name that nobody knows, the last control plane, more control planes at once than etcd
    bears, a control plane whose leaving would cost etcd its majority, and a machine that cannot be reached and was not said to be dead.
  - Runs on a control plane that stays.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.action_group_kubectl
options:
  names:
    description: The nodes that are to leave.
    type: list
    elements: str
    required: true
  hosts:
    description: The hosts of the inventory, each with the names of its groups.
    type: dict
    default: {}
  unreachable:
    description: Those of the hosts that could not be reached.
    type: list
    elements: str
    default: []
  dead:
    description: Whether a machine that is not reached, or whose kubelet does not report, is off for good.
    type: bool
    default: false
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.node_drain
  - module: kubestead.cluster.etcd_member_remove
"""

EXAMPLES = r"""
- name: See whether two nodes can leave
  kubestead.cluster.removal_plan:
    names: [worker-2, control-plane-3]
    hosts: "{{ dict(groups['all'] | zip(groups['all'] | map('extract', hostvars, 'group_names'))) }}"
  delegate_to: control-plane-1
  register: plan
"""

RETURN = r"""
nodes:
  description: The nodes in the order in which they can leave, workers first, then control planes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      type: str
      returned: always
    control_plane:
      description: Whether it is a control plane.
      type: bool
      returned: always
    exists:
      description: Whether the cluster has a Node object of it.
      type: bool
      returned: always
    etcd_member:
      description: Whether etcd has a member of it.
      type: bool
      returned: always
    in_inventory:
      description: Whether it is among O(hosts).
      type: bool
      returned: always
    reachable:
      description: Whether the machine can be cleaned. It is among O(hosts) and not among O(unreachable).
      type: bool
      returned: always
    dead:
      description: Whether it counts as off for good.
      type: bool
      returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_state import node
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd, Member
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_quorum import working
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import is_silent
from ansible_collections.kubestead.cluster.plugins.module_utils._removal import NOTHING, Removal, Request, Seen, report


def look(module: AnsibleModule) -> Seen:
    """The cluster as it is now."""
    items = Kubectl(module, module.params["kubeconfig"]).get("nodes", "--request-timeout=20s")
    silent = {item["metadata"]["name"] for item in items if is_silent(item)}
    members = [] if KubernetesState().external_etcd else _members()
    nodes = {item["metadata"]["name"]: node(item) for item in items}
    return Seen(nodes, silent, members, working(members))


def _members() -> list[Member]:
    try:
        return Etcd(["localhost"]).members()
    except (KubesteadError, OSError) as error:
        raise KubesteadError(
            f"etcd does not tell its members, so nobody can say whether it bears that one leaves: {error} {NOTHING} "
            "Where more than half of the members are lost, the cluster has to be restored first."
        ) from error


def plan(module: AnsibleModule) -> dict[str, t.Any]:
    """The module's result; an error that holds every mistake."""
    params = module.params
    request = Request(
        [name.strip() for name in params["names"] if name.strip()],
        params["hosts"],
        params["unreachable"],
        params["dead"],
    )
    removal = Removal(request, look(module))
    mistakes = removal.mistakes()
    if mistakes:
        raise KubesteadError(report(mistakes), mistakes=mistakes)
    return {"changed": False, "nodes": [leaving._asdict() for leaving in removal.ordered()]}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "hosts": {"type": "dict", "default": {}},
            "unreachable": {"type": "list", "elements": "str", "default": []},
            "dead": {"type": "bool", "default": False},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: plan(module))


if __name__ == "__main__":
    main()
