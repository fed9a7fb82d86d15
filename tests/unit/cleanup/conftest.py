"""A machine for the cleanup: a folder that stands for /, and tools that answer with what was recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

RECORDED = Path(__file__).parent / "recorded"
Answer = str | tuple[int, str, str]


class FakeModule:
    """What the cleanup uses of AnsibleModule. `answers` maps the beginning of a command line to its output."""

    def __init__(self, tmpdir: Path, answers: Mapping[str, Answer], check_mode: bool = False) -> None:
        self.check_mode = check_mode
        self.tmpdir = str(tmpdir)
        self.answers = answers
        self.commands: list[str] = []
        self.inputs: dict[str, str] = {}

    def get_bin_path(self, name: str, **_options: Any) -> str | None:
        return f"/usr/sbin/{name}" if any(line.split()[0] == name for line in self.answers) else None

    def run_command(self, args: list[str], data: str | None = None, **_options: Any) -> tuple[int, str, str]:
        line = " ".join([Path(args[0]).name, *args[1:]])
        self.commands.append(line)
        if data is not None:
            self.inputs[line] = data
        matching = [key for key in self.answers if line == key or line.startswith(f"{key} ")]
        answer = self.answers[max(matching, key=len)] if matching else (127, "", f"{line}: no answer was recorded")
        return (0, answer, "") if isinstance(answer, str) else answer

    def atomic_move(self, source: str, target: str, unsafe_writes: bool = False) -> None:
        shutil.move(source, target)

    def ran(self, beginning: str) -> bool:
        """Whether a command that begins so was run."""
        return any(line.startswith(beginning) for line in self.commands)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that stands for /."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(tmp_path: Path, root: Path) -> Callable[..., Machine]:
    """Makes a machine with the given answers."""

    def make(answers: Mapping[str, Answer] | None = None, check_mode: bool = False) -> Machine:
        module: Any = FakeModule(tmp_path, answers or {}, check_mode)
        return Machine(module, str(root))

    return make


@pytest.fixture
def write(root: Path) -> Callable[[str, str], Path]:
    """Writes a file of the machine."""

    def put(path: str, text: str = "") -> Path:
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return put


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """What a real node answered."""
    return lambda name: (RECORDED / name).read_text()
