# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Filter: a mapping written as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: to_toml
author: Kubestead contributors
version_added: 0.1.0
short_description: A mapping written as TOML
description:
  - Keys keep their order, plain values come before tables, so the same mapping always gives the same text.
options:
  _input:
    description: Nested mappings of strings, numbers, booleans and lists of these.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show containerd's configuration
  ansible.builtin.debug:
    msg: "{{ {'version': 3, 'plugins': {}} | kubestead.cluster.to_toml }}"
"""

RETURN = r"""
_value:
  description: The text, ending with a newline.
  type: str
"""


BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def _key(key: str) -> str:
    return key if BARE_KEY.match(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which only TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(key))} = {_value(item)}" for key, item in value.items()) + "}"
    raise AnsibleFilterError(f"TOML has no place for {value!r} ({type(value).__name__})")


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    if path and (plain or not tables):
        yield ""
        yield "[" + ".".join(_key(part) for part in path) + "]"
    for key, value in plain.items():
        yield f"{_key(str(key))} = {_value(value)}"
    for key, value in tables.items():
        yield from _table((*path, str(key)), value)


def to_toml(mapping: Mapping[str, Any]) -> str:
    """The mapping as TOML text. Raises AnsibleFilterError for a value that TOML cannot hold, such as null."""
    return "\n".join(_table((), mapping)).lstrip("\n") + "\n"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters of this file."""
        return {"to_toml": to_toml}
