#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: how a cluster is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_state
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: How a cluster is, as one of its control planes sees it
description:
  - Asks the API server for the nodes, this node's member of etcd for its health and the other members, and reads when the certificates of
    this control plane expire.
  - Changes nothing, and does not fail where one of them gives no answer; it tells so instead.
  - Runs on a control plane. M(kubestead.cluster.node_state) tells of single machines.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
options:
  kubeconfig:
    description: The kubeconfig to ask the API server with.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: See how the cluster is
  kubestead.cluster.cluster_state:
  register: cluster

- name: Say which nodes are not ready
  ansible.builtin.debug:
    msg: "{{ cluster.nodes | rejectattr('ready') | map(attribute='name') }}"
"""

RETURN = r"""
nodes:
  description: The nodes. Empty where the API server did not answer.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      type: str
      returned: always
    ready:
      description: Whether it is Ready.
      type: bool
      returned: always
    message:
      description: Why it is not.
      type: str
      returned: always
    schedulable:
      description: Whether pods may be put on it, which C(kubectl cordon) takes back.
      type: bool
      returned: always
    control_plane:
      description: Whether it is a control plane.
      type: bool
      returned: always
    version:
      description: Version of its kubelet.
      type: str
      returned: always
    address:
      description: Its address in the cluster.
      type: str
      returned: always
api_error:
  description: Why the API server did not answer.
  returned: always
  type: str
etcd:
  description: This node's member of etcd.
  returned: always
  type: dict
  contains:
    external:
      description: The endpoints of an etcd of the user's own. Nothing else is told of that.
      type: list
      elements: str
      returned: always
    healthy:
      description: Whether the member answers, and knows a leader.
      type: bool
      returned: always
    version:
      description: Version of etcd.
      type: str
      returned: always
    members:
      description: All members, with RV(ignore:name), RV(ignore:addresses) and RV(ignore:learner).
      type: list
      elements: dict
      returned: always
    error:
      description: Why the member is not healthy.
      type: str
      returned: always
certificates:
  description: The certificates of this control plane.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The file, below C(/etc/kubernetes).
      type: str
      returned: always
    expires:
      description: When it expires, in UTC.
      type: str
      returned: always
      sample: "2027-11-21T06:30:00Z"
    error:
      description: Why that cannot be told.
      type: str
      returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _cluster_state
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState


def main() -> t.NoReturn:
    """Ask and tell."""
    module = AnsibleModule(
        argument_spec={"kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"}},
        supports_check_mode=True,
    )
    module.exit_json(
        changed=False,
        etcd=_cluster_state.etcd(Etcd(["localhost"]), KubernetesState().external_etcd),
        certificates=_cluster_state.expiries(),
        **_cluster_state.nodes(Kubectl(module, module.params["kubeconfig"])),
    )
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
