#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the smoke test of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: smoke_test
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Try what a cluster is for
description:
  - Runs on a control plane. Waits until the nodes and CoreDNS are ready, starts a pod on every node that takes ordinary pods,
    runs a command in each, reads its log and reaches it by a port-forward, has the pods resolve names and reach each other
    and a service, asks every node's NodePort, scales a Deployment, and deletes all of it.
  - With O(policies) a network policy must keep a pod from one on another node, until it is deleted.
  - The cluster is afterwards what it was before, so nothing is reported as changed. Everything lies in a namespace of its own,
    which is deleted also when a check fails. What an interrupted test left is deleted by the next.
  - All checks that can be run are run, also after one has failed. The module fails where one of them did.
attributes:
  check_mode:
    description: Runs nothing and says so, since the test works by making things.
    support: partial
    details: Nothing is tested in check mode.
  diff_mode:
    description: Has no diff.
    support: none
options:
  image:
    description: Full reference of the agnhost image.
    type: str
    required: true
  nodes:
    description: Names of the nodes that must be ready and are tested. An empty list means all nodes of the cluster.
    type: list
    elements: str
    default: []
  namespace:
    description: Namespace that the test makes and deletes.
    type: str
    default: kubestead-smoke
  dns_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
  metrics:
    description: Whether figures of every node are expected, as metrics-server delivers them.
    type: bool
    default: false
  policies:
    description: Whether network policies are expected to work, as the pod network has to see to.
    type: bool
    default: false
  timeout:
    description: Seconds that all checks together may take.
    type: int
    default: 180
  cleanup_timeout:
    description: Seconds, beyond O(timeout), to wait until the namespace is gone.
    type: int
    default: 60
  kubeconfig:
    description: Kubeconfig of an administrator, on the control plane.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Test the cluster
  kubestead.cluster.smoke_test:
    image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
    nodes: "{{ groups['control_plane'] + groups['workers'] }}"
"""

RETURN = r"""
checks:
  description: What was tried, in order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    ok:
      description: Whether it worked.
      type: bool
    status:
      description: V(passed), V(failed), or V(not run) where an earlier failure makes it pointless.
      type: str
    seconds:
      description: How long it took.
      type: float
    detail:
      description: What was tried, or what went wrong.
      type: str
msg:
  description: The checks as a table; after a failure also where to look, pods that are not ready and the last warnings.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke import NAMESPACE
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke_cluster import Cluster, fetch
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke_run import Settings, SmokeTest


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "namespace": {"type": "str", "default": NAMESPACE},
            "dns_domain": {"type": "str", "default": "cluster.local"},
            "metrics": {"type": "bool", "default": False},
            "policies": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
            "cleanup_timeout": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(
            changed=False, checks=[], msg="Not run: check mode makes nothing, and the test works by making things."
        )
    options = module.params
    settings = Settings(
        image=options["image"],
        nodes=options["nodes"],
        dns_domain=options["dns_domain"],
        timeout=options["timeout"],
        cleanup_timeout=options["cleanup_timeout"],
        metrics=options["metrics"],
        policies=options["policies"],
    )
    test = SmokeTest(Cluster(Kubectl(module, options["kubeconfig"]), options["namespace"]), settings, fetch)
    try:
        test.run()
    except KubesteadError as error:
        module.fail_json(msg=error.message, checks=[check.result() for check in test.checks], **error.details)
    checks = [check.result() for check in test.checks]
    if not test.ok:
        module.fail_json(msg=f"The smoke test failed.\n{test.message()}", checks=checks)
    module.exit_json(changed=False, checks=checks, msg=test.message())


if __name__ == "__main__":
    main()
