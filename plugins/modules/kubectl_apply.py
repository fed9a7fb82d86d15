#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: objects of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubectl_apply
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Apply objects to a cluster, and take away what is wanted no more
description:
  - Applies objects on the server's side, as one field manager, through kubectl on a node that has credentials.
  - Namespaces and definitions of kinds come first, and kinds are waited for before objects of them are sent.
  - Objects carry the label C(kubestead.io/owner) where O(owner) is set. With O(prune), what carries it and is wanted no more
    is deleted.
  - The content of Secrets is never shown, in diffs neither. Give O(definition) in a task with C(no_log) where it holds some.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
    details:
      - Asks the API server for a dry run.
      - What it cannot try yet, for want of a namespace, a kind or a cluster, counts as to be created.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  definition:
    description: The objects, as a list of mappings, as one mapping, or as YAML text of one or more documents.
    type: raw
    required: true
  files:
    description:
      - Files of YAML on the node, with further objects, for what is too large to be sent along with the task.
      - In check mode a file that is not there yet is left out.
    type: list
    elements: path
    default: []
  state:
    description: Whether the objects are to be there.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description: Value of the label that marks the objects as ours. A value of its own for each set of objects.
    type: str
  prune:
    description: Delete objects that carry the label of O(owner) and are not in O(definition).
    type: bool
    default: false
  prune_kinds:
    description: Kinds that pruning looks at.
    type: list
    elements: str
    default:
      - configmaps
      - secrets
      - services
      - serviceaccounts
      - persistentvolumeclaims
      - pods
      - namespaces
      - daemonsets.apps
      - deployments.apps
      - statefulsets.apps
      - jobs.batch
      - cronjobs.batch
      - ingresses.networking.k8s.io
      - networkpolicies.networking.k8s.io
      - poddisruptionbudgets.policy
      - roles.rbac.authorization.k8s.io
      - rolebindings.rbac.authorization.k8s.io
      - clusterroles.rbac.authorization.k8s.io
      - clusterrolebindings.rbac.authorization.k8s.io
  wait:
    description:
      - Wait until workloads are rolled out, pods ready, jobs complete, and kinds served.
      - For O(state=absent), and for what is pruned, wait until the objects are gone.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait.
    type: int
    default: 300
  field_manager:
    description: Name under which the API server notes which fields are ours.
    type: str
    default: kubestead
  kubeconfig:
    description: Credentials, a file on the node.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Have a namespace
  kubestead.cluster.kubectl_apply:
    definition:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: demo

- name: Apply an add-on, wait for it, and delete what former versions of it had
  kubestead.cluster.kubectl_apply:
    definition: "{{ lookup('ansible.builtin.template', 'add-on.yml.j2') }}"
    owner: add-on
    prune: true
    wait: true
"""

RETURN = r"""
objects:
  description: The objects, and what became (in check mode, would become) of each. Empty in check mode where there is no cluster yet.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
      returned: always
    namespace:
      description: Its namespace. Empty for objects of the whole cluster and for the namespace default.
      type: str
      returned: always
    name:
      description: Its name.
      type: str
      returned: always
    action:
      description: V(created), V(changed), V(unchanged) or V(deleted).
      type: str
      returned: always
  sample: [{kind: Namespace, namespace: "", name: demo, action: created}]
waited_seconds:
  description: Seconds waited in vain.
  returned: when waiting took too long
  type: float
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._apply import Applier
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

PRUNE_KINDS = [
    *("configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims", "pods", "namespaces"),
    *("daemonsets.apps", "deployments.apps", "statefulsets.apps", "jobs.batch", "cronjobs.batch"),
    *("ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy"),
    *("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"),
    *("clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"),
]


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "definition": {"type": "raw", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "prune": {"type": "bool", "default": False},
            "prune_kinds": {"type": "list", "elements": "str", "default": PRUNE_KINDS},
            "wait": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 300},
            "field_manager": {"type": "str", "default": "kubestead"},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        required_if=[("prune", True, ("owner",))],
        supports_check_mode=True,
    )
    conclude(module, Applier(module).perform)


if __name__ == "__main__":
    main()
