"""A misspelt internal variable is found here in a moment, and not by the host on which its task runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
INTERNAL = re.compile(r"(?<![\w.])__[a-z][a-z0-9_]*")
NAMING_KEYWORDS = {"register", "loop_var", "index_var"}


def defined_in(value: Any) -> Iterator[str]:
    """Names that a YAML document gives: keys of variables, and what is registered or looped over."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            if key in NAMING_KEYWORDS:
                yield str(inner)
            yield from defined_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from defined_in(inner)


def files(*suffixes: str) -> list[Path]:
    return sorted(path for path in ROLES.rglob("*") if path.suffix in suffixes and path.is_file())


@pytest.fixture(scope="module")
def defined() -> set[str]:
    given = {name for path in files(".yml") for name in defined_in(yaml.safe_load(path.read_text(encoding="utf-8")))}
    for path in files(".j2"):
        text = path.read_text(encoding="utf-8")
        given |= set(re.findall(r"{%-?\s*(?:set|for)\s+(\w+)", text))
    return given


@pytest.mark.parametrize("path", files(".yml", ".j2"), ids=lambda path: str(path.relative_to(ROLES)))
def test_every_internal_variable_is_given_somewhere(path: Path, defined: set[str]) -> None:
    used = set(INTERNAL.findall(path.read_text(encoding="utf-8")))
    assert used - defined == set()
