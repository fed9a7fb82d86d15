from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from kubestead.lab import connections, engine
from kubestead.lab.machine import Machine, Resolvers

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """What real tools and kernels said."""
    return lambda name: (RECORDED / name).read_text()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache, state and engine of its own for each test: none may touch a lab that runs here."""
    monkeypatch.setattr(engine, "RUN", tmp_path / "run")
    monkeypatch.setattr(connections, "ssh_masters", lambda addresses: [])
    monkeypatch.setattr(engine, "start", lambda docker: pytest.fail("a test started an engine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def machine_of(**changes: object) -> Machine:
    """A laptop on which everything is well, but for the changes."""
    usual: dict[str, object] = {
        "system": "Linux",
        "kernel": "6.12.0",
        "architecture": "x86_64",
        "distribution": "debian",
        "codename": "trixie",
        "root": False,
        "first_process": "systemd",
        "cores": 8,
        "memory": 32000,
        "memory_available": 24000,
        "disk": 500_000,
        "disk_available": 300_000,
        "missing_capabilities": (),
        "cgroup_version": 2,
        "resolvers": Resolvers(("192.0.2.53",), ("example.org",), "/etc/resolv.conf"),
        "features": dict.fromkeys(("bridge", "br_netfilter", "overlay", "veth", "vxlan"), "present"),
        "module_folder": True,
        "inotify_instances": 8192,
        "open_files": 1_048_576,
        "tools": {
            "docker": "/usr/bin/docker",
            "dockerd": "",
            "ssh": "/usr/bin/ssh",
            "ssh-keygen": "/usr/bin/ssh-keygen",
        },
    }
    return Machine(**(usual | changes))  # type: ignore[arg-type]


FAKE_DOCKER = """
#!{python}
import json, os, sys
from pathlib import Path

home = Path({home!r})
words = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
for number, (start, code, text) in enumerate(json.loads((home / "answers").read_text())):
    if words[: len(start)] == start:
        (sys.stderr if code else sys.stdout).write(text)
        sys.exit(code)
sys.exit(0)
"""


class FakeDocker:
    """A program named docker that answers as told, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.answers: list[tuple[list[str], int, str]] = []
        self.path = folder / "docker"
        self.path.write_text(textwrap.dedent(FAKE_DOCKER).lstrip().format(python=sys.executable, home=str(folder)))
        self.path.chmod(0o755)
        self._save()

    def answer(self, *start: str, text: str = "", code: int = 0) -> None:
        """To arguments that start like this, answer so from now on."""
        self.answers.insert(0, (list(start), code, text))
        self._save()

    def calls(self) -> list[list[str]]:
        """What it was asked so far."""
        file = self.home / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _save(self) -> None:
        (self.home / "answers").write_text(json.dumps(self.answers))


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FakeDocker(folder)
