#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what the conformance suite found."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance_results
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Tell what the conformance suite found
description:
  - Runs on the node of the suite that M(kubestead.cluster.conformance_start) has started. Reads its JUnit XML. Of a suite that was
    broken off, which has written none, it takes the counts that were reported last.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.action_group_kubectl
options:
  kubeconfig:
    description: Kubeconfig of an administrator, on the control plane.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: See what the suite found
  kubestead.cluster.conformance_results:
  register: found

- name: Stop where a spec failed
  ansible.builtin.fail:
    msg: "{{ found.verdict }}"
  when: not found.passed
"""

RETURN = r"""
passed:
  description: Whether specs were run, all of those that were chosen, and none failed.
  returned: always
  type: bool
verdict:
  description: The counts, and each failure with its message.
  returned: always
  type: str
counts:
  description: How many specs were V(total), V(passed) and V(failed).
  returned: always
  type: dict
seconds:
  description: How long the suite ran.
  returned: always
  type: float
specs:
  description: The specs that were run.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the spec.
      type: str
    status:
      description: V(passed) or V(failed).
      type: str
    seconds:
      description: How long it took.
      type: float
    message:
      description: Why it failed.
      type: str
files:
  description: Paths on the node of what the suite wrote, and a submission to the CNCF needs.
  returned: always
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _conformance as suite
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Cluster, Seen
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

_NOTHING = (
    "None of this release's conformance specs was chosen, so nothing was tested. "
    "Their names stand in Kubernetes' source, in test/conformance/testdata/conformance.yaml."
)


def judged(specs: t.Sequence[suite.Spec], seen: Seen) -> t.Dict[str, t.Any]:
    """What the specs come to: it went well only where all that were chosen were run."""
    failed = sum(spec.status == "failed" for spec in specs)
    passed = len(specs) - failed
    total = max(seen.progress.total, len(specs))
    nothing = not total and not seen.ended
    return {
        "passed": bool(specs) and not failed and not seen.ended and passed >= total,
        "verdict": _NOTHING if nothing else suite.verdict(specs, seen.progress, seen.ended),
        "counts": {"total": total, "passed": passed, "failed": failed},
        "seconds": round(seen.seconds, 1),
        "specs": [spec.result() for spec in specs],
    }


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"}},
        supports_check_mode=True,
    )
    cluster = Cluster(Kubectl(module, module.params["kubeconfig"], patience=PATIENCE))
    conclude(module, lambda: {"changed": False, **judged(*cluster.results()), "files": cluster.files()})


if __name__ == "__main__":
    main()
