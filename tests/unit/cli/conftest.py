from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.runs import Failure, HostStats, PhaseTime, RunResult

HOSTS = """\
all:
  children:
    control_plane:
      hosts:
        control-plane-1:
          ansible_host: 192.0.2.11
    workers:
      hosts:
        worker-1:
          ansible_host: 192.0.2.21
"""


@dataclass
class FakeRuns:
    """Stands in for run_playbook: remembers what was asked for, and answers as it is told."""

    rc: int = 0
    changes: int = 1
    message: str = "No room."
    events: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[dict[str, Any]], None] = lambda _options: None
    calls: list[tuple[str, Path, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, playbook: str, inventory: Path, **options: Any) -> RunResult:
        self.calls.append((playbook, inventory, options))
        self.meanwhile(options)
        options["console"].print("phase verify")
        for event in self.events:
            if options.get("watch"):
                options["watch"](event)
        failures = [Failure("worker-1", "join", "Join", self.message, "/a.yml:1")] if self.rc else []
        hosts = {"worker-1": HostStats(ok=3, changed=self.changes)}
        return RunResult(
            self.rc == 0,
            self.rc,
            [PhaseTime("verify", 1.0, 1)],
            hosts,
            failures,
            Path("/record"),
            "ansible-playbook …",
            self.data,
        )

    @property
    def options(self) -> dict[str, Any]:
        return self.calls[-1][2]


@pytest.fixture
def cli() -> CliRunner:
    return CliRunner()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    fake = FakeRuns()
    monkeypatch.setattr("kubestead.runs.run_playbook", fake)
    return fake


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBESTEAD_INVENTORY", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    folder = tmp_path / "prod"
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    (folder / "group_vars/all/cluster.yml").write_text("cluster_name: prod\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers typed in a test count as typed in a terminal."""
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
