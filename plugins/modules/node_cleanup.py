#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a cluster off a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_cleanup
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Takes a cluster off a machine, and nothing else
description:
  - Runs C(kubeadm reset) and removes what that leaves of this cluster, pods, mounts, links, chains and rules of the packet filter, folders,
    kubeconfig files, lines in C(/etc/hosts). Where asked, also the packages with their repositories, configuration and kernel settings.
  - Works on machines that are half built, and changes nothing on one that is clean.
  - The packet filter is never flushed. Only chains and rules of Kubernetes and its pod network go, each table in one step.
  - Refuses a machine that is a member of another cluster.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.cleanup
options:
  cluster_name:
    description: Name of the cluster.
    type: str
    required: true
  servers:
    description: Addresses with ports at which this cluster's API servers answer, by which its members and kubeconfig files are known.
    type: list
    elements: str
    required: true
  pod_cidrs:
    description: Address ranges of the pods. Routes into them are removed.
    type: list
    elements: str
    default: []
  admin_users:
    description: Accounts whose kubeconfig is removed if it is this cluster's.
    type: list
    elements: str
    default: [root]
  whole_cluster:
    description: Whether no control plane stays, so that nobody is left to be told that this machine leaves.
    type: bool
    default: false
  external_etcd:
    description:
      - URLs of the etcd of your own that the cluster keeps its data in. That data stays, which RV(left) tells with the way to remove it.
      - C(/var/lib/etcd) is then not the cluster's and stays too.
    type: list
    elements: str
    default: []
  packages:
    description:
      - Packages to remove, with their repositories, what the roles configured for them, and kernel settings.
      - An empty list leaves all that, and containerd running with its images.
    type: list
    elements: str
    default: []
  host_name:
    description: Host name that the machine was given, to be told of if it stays.
    type: str
    default: ""
  timeout:
    description: Seconds to wait for a kubeadm that a former run left behind.
    type: int
    default: 120
seealso:
  - module: kubestead.cluster.kubeadm_init
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Take the cluster off, and keep the machine prepared for the next one
  kubestead.cluster.node_cleanup:
    cluster_name: lab
    servers: [172.29.96.11:6443]
    pod_cidrs: [10.244.0.0/16]
    whole_cluster: true
"""

RETURN = r"""
removed:
  description: What went, in check mode what would go.
  returned: always
  type: list
  elements: str
  sample: [membership in the cluster (kubeadm reset), 3 pods, link cni0, folder /etc/kubernetes]
left:
  description: What stays, and why. Empty where nothing was removed.
  returned: always
  type: list
  elements: str
authority:
  description: The cluster's certificate authority, as kubeconfig files carry it. Empty where the machine does not know it (any more).
  returned: always
  type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_cluster import ClusterCleanup
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_left import account
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_packages import PackagesCleanup
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import LOCK_PATH, node_lock


def clean(module: AnsibleModule, machine: Machine) -> dict[str, t.Any]:
    """Take the cluster and, where asked, the packages off; gives the module's result."""
    if module.check_mode:
        cluster = _clean(module, machine)
    else:
        with node_lock(module.params["timeout"]):
            cluster = _clean(module, machine)
            # The last to leave takes the lock along: nothing of ours is to stay.
            os.unlink(LOCK_PATH)
    if machine.removed:
        account(machine, module.params["host_name"])
    return {
        "changed": bool(machine.removed),
        "removed": machine.removed,
        "left": machine.left if machine.removed else [],
        "authority": cluster.authority,
    }


def _clean(module: AnsibleModule, machine: Machine) -> ClusterCleanup:
    cluster = ClusterCleanup(machine, module.params)
    cluster.refuse_foreign()
    cluster.clean()
    if module.params["packages"]:
        PackagesCleanup(machine, module.params["packages"]).clean()
    return cluster


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "cluster_name": {"type": "str", "required": True},
            "servers": {"type": "list", "elements": "str", "required": True},
            "pod_cidrs": {"type": "list", "elements": "str", "default": []},
            "admin_users": {"type": "list", "elements": "str", "default": ["root"]},
            "whole_cluster": {"type": "bool", "default": False},
            "external_etcd": {"type": "list", "elements": "str", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
            "host_name": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    machine = Machine(module)
    try:
        result = clean(module, machine)
    except KubesteadError as error:
        module.fail_json(msg=error.message, removed=machine.removed, left=machine.left, **error.details)
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
