# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: the address that a node is known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils._topology import node_address

DOCUMENTATION = r"""
name: node_address
author: Kubestead contributors
version_added: 0.1.0
short_description: The address that a node is known by in the cluster
description:
  - C(cluster_node_address) of the host, else the address Ansible connects to, else the one node_state found.
positional: hostvars
options:
  _input:
    description: Name of the host in the inventory.
    type: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say where the node is
  ansible.builtin.debug:
    msg: "{{ inventory_hostname | kubestead.cluster.node_address(hostvars) }}"
"""

RETURN = r"""
_value:
  description: An address, or the host's name where no address is known.
  type: str
"""


def _filter(host: str, hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    return node_address(host, hostvars[host])


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters of this file."""
        return {"node_address": _filter}
