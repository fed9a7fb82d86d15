#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: haproxy and keepalived off a load balancer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: load_balancer_cleanup
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Takes haproxy and keepalived off a machine, where they are Kubestead's
description:
  - Stops the services, removes the configuration that the roles wrote for them and, where asked, the packages.
  - A haproxy or keepalived that is configured by somebody else is left alone.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.cleanup
options:
  packages:
    description: Whether the packages go too.
    type: bool
    default: true
seealso:
  - module: kubestead.cluster.node_cleanup
"""

EXAMPLES = r"""
- name: Make an ordinary machine of a load balancer
  kubestead.cluster.load_balancer_cleanup:
"""

RETURN = r"""
removed:
  description: What went, in check mode what would go.
  returned: always
  type: list
  elements: str
  sample: [running keepalived.service, package keepalived]
left:
  description: What stays, and why. Empty where nothing was removed.
  returned: always
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_balancer import clean_balancer
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"packages": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    machine = Machine(module)
    try:
        clean_balancer(machine, module.params["packages"])
    except KubesteadError as error:
        module.fail_json(msg=error.message, removed=machine.removed, left=machine.left, **error.details)
    module.exit_json(changed=bool(machine.removed), removed=machine.removed, left=machine.left)
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
