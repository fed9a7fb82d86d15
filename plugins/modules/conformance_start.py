#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: start upstream's conformance suite."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance_start
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Start upstream's conformance suite in a cluster
description:
  - Runs on a control plane. Looks whether the cluster is well, then starts the suite as a pod on one node and returns at once.
    M(kubestead.cluster.conformance_watch) waits for it, M(kubestead.cluster.conformance_results) tells what it found, and
    M(kubestead.cluster.conformance_clean) takes it away.
  - The pod has an administrator's rights, as the specs need them. It ends by itself when its time is over, also where nobody waits for it.
  - Fails, with every reason in one message, where a node is not Ready, no node takes ordinary pods, a pod of C(kube-system) is not
    ready, the cluster is of another minor release than the suite, or a suite is there already. Nothing was made then.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
    details: Looks whether the cluster is well, and fails where it is not.
  diff_mode:
    support: none
    details: The suite is one thing, which is there or not.
  idempotent:
    support: none
    details: Fails where a suite was started already.
options:
  image:
    description: Full reference of upstream's conformance image.
    type: str
    required: true
  version:
    description: Kubernetes release that the image is of.
    type: str
    required: true
  node:
    description: Name of the node that it runs on, which is the one that this module runs on.
    type: str
    required: true
  specs:
    description: Names of the specs to run. Tags at the end of a name may be left out.
    type: list
    elements: str
  focus:
    description: Regular expression, as Go understands it, that chooses the specs to run among the conformance specs.
    type: str
  all_specs:
    description: Whether to run all conformance specs, chosen as upstream chooses them.
    type: bool
    default: false
  timeout:
    description: Seconds after which the suite is to end, whatever it has come to.
    type: int
    default: 1800
  repositories:
    description:
      - Where the images of the specs are taken from instead, by upstream's names for the places, such as C(promoterE2eRegistry).
      - Mirrors of the container runtime need no entry.
    type: dict
    default: {}
  kubeconfig:
    description: Kubeconfig of an administrator, on the control plane.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Start the specs of DNS
  kubestead.cluster.conformance_start:
    image: registry.k8s.io/conformance:v1.36.4
    version: 1.36.4
    node: control-plane-1
    focus: sig-network.*DNS
"""

RETURN = r"""
focus:
  description: The regular expression that the suite was given.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _conformance as suite
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Cluster
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl

_EVERYTHING = r"\[Conformance\]"  # as upstream's image has it


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "node": {"type": "str", "required": True},
            "specs": {"type": "list", "elements": "str"},
            "focus": {"type": "str"},
            "all_specs": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 1800},
            "repositories": {"type": "dict", "default": {}},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        mutually_exclusive=[("specs", "focus")],
        supports_check_mode=True,
    )
    options = module.params
    focus = _EVERYTHING if options["all_specs"] else _focus(module)
    cluster = Cluster(Kubectl(module, options["kubeconfig"], patience=PATIENCE))
    try:
        obstacles = cluster.obstacles(options["version"])
        if obstacles:
            module.fail_json(
                msg="\n- ".join(["The conformance suite was not started, and nothing was made:", *obstacles])
            )
        if not module.check_mode:
            cluster.start(
                suite.Settings(
                    image=options["image"],
                    node=options["node"],
                    focus=focus,
                    timeout=options["timeout"],
                    within_conformance=not options["all_specs"],
                    repositories=options["repositories"],
                )
            )
    except KubesteadError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=True, focus=focus)
    raise AssertionError("exit_json does not return")


def _focus(module: AnsibleModule) -> str:
    if module.params["specs"]:
        return suite.names_as_focus(module.params["specs"])
    focus = module.params["focus"] or ""
    problem = suite.problem_of_focus(focus)
    if problem:
        module.fail_json(
            msg=f"{focus!r} chooses no specs: {problem}. Give a part of their names, such as sig-network.*DNS."
        )
    return str(focus)


if __name__ == "__main__":
    main()
