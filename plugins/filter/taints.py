# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: taints as kubectl writes them, made into those of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: taints
author: Kubestead contributors
version_added: 0.1.0
short_description: Taints as kubectl writes them, made into those of the Kubernetes API
description:
  - Reads C(key=value:Effect) and C(key:Effect).
options:
  _input:
    description: Taints, one string each.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show a taint
  ansible.builtin.debug:
    msg: "{{ ['dedicated=gpu:NoSchedule'] | kubestead.cluster.taints }}"
"""

RETURN = r"""
_value:
  description: Taints with the keys C(key), C(value) and C(effect).
  type: list
  elements: dict
"""


def _taint(text: str) -> dict[str, str]:
    name, colon, effect = text.rpartition(":")
    if not colon:
        raise AnsibleFilterError(f"'{text}' is not a taint: write key=value:Effect or key:Effect")
    key, equals, value = name.partition("=")
    return {"key": key, "value": value, "effect": effect} if equals else {"key": key, "effect": effect}


def _taints(texts: Iterable[str]) -> list[dict[str, str]]:
    return [_taint(text) for text in texts]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, str]]]]:
        """The filters of this file."""
        return {"taints": _taints}
