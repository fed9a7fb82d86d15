"""What the real tools printed, and a module that answers commands from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parent / "module_utils" / "recorded"


class FakeModule:
    """Stands for AnsibleModule: its commands are answered by a function, and remembered."""

    def __init__(self, answer: Callable[[list[str], str | None], tuple[int, str, str]], **params: Any) -> None:
        self.answer = answer
        self.params = params
        self.check_mode = False
        self._diff = False
        self.no_log_values: set[str] = set()
        self.commands: list[list[str]] = []
        self.inputs: list[str | None] = []
        self.missing: set[str] = set()

    def get_bin_path(self, name: str, **_options: Any) -> str | None:
        return None if name in self.missing else f"/usr/bin/{name}"

    def run_command(self, command: Sequence[str], data: str | None = None, **_options: Any) -> tuple[int, str, str]:
        self.commands.append(list(command))
        self.inputs.append(data)
        return self.answer(list(command), data)


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """The text of a recorded file."""
    return lambda name: (RECORDED / name).read_text(encoding="utf-8")


@pytest.fixture
def fake_module() -> type[FakeModule]:
    return FakeModule


@pytest.fixture
def documents() -> Callable[[str | None], list[Any]]:
    """The items of a List that was given to kubectl."""
    return lambda text: json.loads(text or "{}").get("items", [])
