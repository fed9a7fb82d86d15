#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: wait for the conformance suite, and hear how far it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance_watch
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Hear how far the conformance suite has come
description:
  - Runs on the node of the suite that M(kubestead.cluster.conformance_start) has started. Reads its log, and returns after
    O(wait) seconds, or at once when a spec fails or the suite ends.
  - In a loop that is left when RV(finished), it shows the progress live.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.action_group_kubectl
options:
  wait:
    description: Seconds to wait.
    type: int
    default: 15
  kubeconfig:
    description: Kubeconfig of an administrator, on the control plane.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Wait for the suite
  kubestead.cluster.conformance_watch:
  register: seen
  loop: "{{ range(240) | list }}"
  loop_control:
    label: "{{ seen.progress | default('') }}"
    break_when: seen is failed or seen.finished
"""

RETURN = r"""
finished:
  description: Whether the suite has ended, well or not.
  returned: always
  type: bool
total:
  description: How many specs are to be run; 0 while the suite has not said so.
  returned: always
  type: int
done:
  description: How many have been run.
  returned: always
  type: int
failed:
  description: How many of those failed.
  returned: always
  type: int
progress:
  description: The same in words, and the specs that failed meanwhile.
  returned: always
  type: str
  sample: 12 of 30 specs done, 0 failed, 1 min 42 s
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Cluster
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "wait": {"type": "int", "default": 15},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    cluster = Cluster(Kubectl(module, module.params["kubeconfig"], patience=PATIENCE))

    def work() -> t.Dict[str, t.Any]:
        seen, fresh = cluster.watch(module.params["wait"])
        lines = [seen.progress.told(seen.seconds), *(f"FAILED {name}" for name in fresh)]
        return {
            "changed": False,
            "finished": seen.finished,
            "total": seen.progress.total,
            "done": seen.progress.done,
            "failed": seen.progress.failed,
            "progress": "\n".join(lines),
        }

    conclude(module, work)


if __name__ == "__main__":
    main()
