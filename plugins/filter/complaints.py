# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: what hosts said that did not do a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: complaints
author: Kubestead contributors
version_added: 0.1.0
short_description: What hosts said that did not do a task
description:
  - For messages that have to tell which host did not answer, and why.
positional: hostvars, variable
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
  variable:
    description: The variable that the task has registered.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say who did not answer
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | kubestead.cluster.complaints(hostvars, 'look') | join('; ') }}"
"""

RETURN = r"""
_value:
  description: Name and reason of each host that failed or was not reached. Hosts without the variable are left out.
  type: list
  elements: str
"""

_PREFIX = "Task failed: "  # Ansible's own, before what a connection says


def _filter(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], variable: str) -> list[str]:
    found = []
    for host in hosts:
        result = hostvars[host].get(variable) or {}
        # A module that has done its task leaves no message; `failed_when: false` hides that it has not.
        if message := " ".join(str(result.get("msg") or "").removeprefix(_PREFIX).split()):
            found.append(f"{host}: {message}")
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """The filters of this file."""
        return {"complaints": _filter}
