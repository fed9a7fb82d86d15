# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: a value, where the files of the inventory can be read at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Optional

from ansible.errors import AnsibleFilterError
from ansible_collections.kubestead.cluster.plugins.plugin_utils._inventory_file import broken_variables

DOCUMENTATION = r"""
name: if_readable
author: Kubestead contributors
version_added: 0.1.0
short_description: A value, where the files of the inventory can be read
description:
  - Where a file in C(group_vars) or C(host_vars) is no YAML, or holds no names with values, Ansible ends before the first task,
    and names neither the file nor the line. This filter names both.
  - For the C(hosts) of a play, which Ansible reads before it reads these files.
positional: sources
options:
  _input:
    description: What is given back.
    type: raw
    required: true
  sources:
    description: The sources of the inventory, as C(ansible_inventory_sources) has them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say which file cannot be read
  hosts: "{{ 'localhost' | kubestead.cluster.if_readable(ansible_inventory_sources) }}"
  gather_facts: false
"""

RETURN = r"""
_value:
  description: The input.
  type: raw
"""


def _filter(value: Any, sources: Optional[Iterable[str]]) -> Any:
    broken = broken_variables(sources or ())
    if broken:
        lines = ["The inventory cannot be read. No host was contacted."]
        lines += [f"- {one.origin.path}:{one.origin.line}: {one.text}" for one in broken]
        raise AnsibleFilterError("\n".join(lines))
    return value


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of this file."""
        return {"if_readable": _filter}
