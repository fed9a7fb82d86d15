# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: the control plane to ask, or to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.kubestead.cluster.plugins.module_utils._topology import TopologyError, bootstrap_host

DOCUMENTATION = r"""
name: bootstrap_host
author: Kubestead contributors
version_added: 0.1.0
short_description: The control plane to ask, or to begin with
description:
  - Chosen from what M(kubestead.cluster.node_state) found running, and from its place in the list
    only where nothing runs yet.
  - Two certificate authorities among the control planes are an error.
positional: hostvars
options:
  _input:
    description: Names of the control planes.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say which control plane is asked
  ansible.builtin.debug:
    msg: "{{ groups['control_plane'] | kubestead.cluster.bootstrap_host(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Name of one of the hosts.
  type: str
"""


def _filter(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    try:
        return bootstrap_host(hosts, hostvars)
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters of this file."""
        return {"bootstrap_host": _filter}
