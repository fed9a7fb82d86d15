#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a control plane's member of etcd, made from a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: A control plane's member of etcd, made from a snapshot
description:
  - Makes the data of this control plane's member of etcd from a snapshot, as part of a new cluster of etcd whose members are all made from
    the same one.
  - It goes in steps, each a call of its own, since all control planes have to have done one before any begins the next. The playbook
    C(etcd_restore.yml) does them in their order; use that.
  - Runs on control planes whose etcd kubeadm has made.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
    details: O(step=check) looks, the other steps do nothing.
  diff_mode:
    support: none
    details: All of it is secret.
  idempotent:
    support: partial
    details: Restores each time. A restore that was broken off is done again from its first step.
options:
  step:
    description:
      - V(check) says whether the snapshot can be restored here, and what the other members have to know of this one. It changes nothing.
      - V(prepare) lays the new data beside the old, which still serves. It needs C(etcdutl), and takes it out of etcd's image.
      - V(replace) stops etcd and the control plane's other static pods, and puts the new data in the place of the old. The old is kept.
      - V(start) starts etcd, waits until it has its majority, and starts the others. Of older data kept in the same way, only the newest
        stays.
      - V(verify) waits until all members of etcd hold the same, O(nodes) are Ready, and their kubelets report again to the API server that
        was set back. It changes nothing, and one control plane is enough for it.
    type: str
    choices: [check, prepare, replace, start, verify]
    required: true
  authorities:
    description: The hashes of the certificate authorities in the snapshot, one of which has to be this node's. For O(step=check).
    type: list
    elements: str
    default: []
  encryption_keys:
    description:
      - The names of the keys that values in the snapshot are encrypted with. This node's API server has to know them. For O(step=check).
    type: list
    elements: str
    default: []
  size:
    description: The size of the snapshot in bytes, for which there has to be room. For O(step=check).
    type: int
    default: 0
  snapshot:
    description: The snapshot, a file on the node. For O(step=prepare).
    type: path
  sha256:
    description: The hash that the file has to have. For O(step=prepare).
    type: str
  initial_cluster:
    description: All members of the new cluster, each as C(name=peer URL). For O(step=prepare).
    type: list
    elements: str
  token:
    description:
      - What tells the new cluster from every other. No member of the old can then mistake it for its own. For O(step=prepare).
    type: str
  bump_revision:
    description:
      - By how much revisions go on above those of the snapshot, the same number for all members, or they would differ for ever.
      - More than any revision that was ever handed out, such as the milliseconds since 1970. For O(step=prepare).
    type: int
  nodes:
    description: Names of the nodes to wait for. For O(step=verify).
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that each wait may take.
    type: int
    default: 300
seealso:
  - module: kubestead.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: See whether the snapshot can be restored here
  kubestead.cluster.etcd_restore:
    step: check
    authorities: "{{ snapshot.authorities }}"
    encryption_keys: "{{ snapshot.encryption_keys }}"
    size: "{{ snapshot.size }}"
  register: member
"""

RETURN = r"""
name:
  description: Name of this node's member.
  returned: O(step=check)
  type: str
peer_url:
  description: The URL at which the other members reach it.
  returned: O(step=check)
  type: str
data_directory:
  description: The folder of its data.
  returned: O(step=check)
  type: str
kept:
  description: The folder with the data that was replaced last. Null where there is none.
  returned: O(step=replace) and O(step=start)
  type: str
nodes:
  description: The nodes that are Ready.
  returned: O(step=verify)
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_members import of_this_node
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_restore import Restore, wait_for_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import ADMIN_CONF
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pod_manifests import StaticPodManifests


def perform(module: AnsibleModule, restore: Restore) -> dict[str, t.Any]:
    """Do one step; gives the module's result."""
    given = module.params
    if given["step"] == "check":
        return restore.check(given["authorities"], given["size"], given["encryption_keys"])
    if module.check_mode:
        return {"changed": given["step"] != "verify"}
    if given["step"] == "verify":
        of_this_node(restore.timeout).agree()
        nodes = wait_for_nodes(Kubectl(module, ADMIN_CONF), given["nodes"], restore.timeout)
        return {"changed": False, "nodes": nodes}
    with node_lock(restore.timeout):
        if given["step"] == "prepare":
            cluster, token, bump = given["initial_cluster"], given["token"], given["bump_revision"]
            return restore.prepare(given["snapshot"], given["sha256"], cluster, token, bump)
        return restore.replace() if given["step"] == "replace" else restore.start()


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["check", "prepare", "replace", "start", "verify"], "required": True},
            "authorities": {"type": "list", "elements": "str", "default": []},
            "encryption_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "size": {"type": "int", "default": 0},
            "snapshot": {"type": "path"},
            "sha256": {"type": "str"},
            "initial_cluster": {"type": "list", "elements": "str"},
            "token": {"type": "str", "no_log": False},
            "bump_revision": {"type": "int"},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 300},
        },
        required_if=[("step", "prepare", ["snapshot", "sha256", "initial_cluster", "token", "bump_revision"])],
        supports_check_mode=True,
    )
    conclude(
        module,
        lambda: perform(module, Restore(module, StaticPodManifests(module), Etcd(["localhost"]), KubernetesState())),
    )


if __name__ == "__main__":
    main()
