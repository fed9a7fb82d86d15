"""The records of runs: one folder for each, readable by its owner alone, without results of tasks, so without secrets.

``<state>/runs/<time>-<playbook>/``: ``run.json`` (what, when, outcome, times), ``events.jsonl`` (one line for each
event), and ``output.log`` (what ansible-playbook printed). The newest :data:`KEPT` stay.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from kubestead.paths import state_dir
from kubestead.runs.progress import HIDDEN, Event

KEPT = 20
_DATA_KEYS = ("play", "task", "role", "host", "duration", "task_path", "task_action", "ignore_errors")


class Record:
    """The record of one run, written while it goes, so that it tells of a run that was killed too."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, mode=0o700)
        self.directory = directory
        self._events: TextIO = (directory / "events.jsonl").open("w", encoding="utf-8", buffering=1)

    @classmethod
    def begin(cls, playbook: str, root: Path | None = None) -> Record:
        """Make the folder of a new run and remove the oldest ones."""
        root = root or state_dir() / "runs"
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        record = cls(root / f"{stamp}-{Path(playbook).name.removesuffix('.yml').rpartition('.')[2]}")
        for old in sorted(path for path in root.iterdir() if path.is_dir())[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return record

    @property
    def runner_directory(self) -> Path:
        """Where ansible-runner and Ansible put what they need during the run."""
        directory = self.directory / "runner"
        directory.mkdir(exist_ok=True, mode=0o700)
        return directory

    def event(self, event: Event) -> None:
        """Note one event, without the result of the task beyond its message and whether it changed something."""
        self._events.write(json.dumps(summarize(event), ensure_ascii=False) + "\n")

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Write the outcome; keep what Ansible printed and remove what was there for the run only."""
        self._events.close()
        for output in self.runner_directory.glob("artifacts/*/stdout"):
            output.replace(self.directory / "output.log")
        shutil.rmtree(self.runner_directory, ignore_errors=True)
        (self.directory / "run.json").write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")


def summarize(event: Event) -> dict[str, Any]:
    """Reduce an event to what tells of the run: never a task's arguments, and of its result only message and change."""
    data = event.get("event_data") or {}
    short: dict[str, Any] = {
        "event": event.get("event"),
        "created": event.get("created"),
        **{key: data[key] for key in _DATA_KEYS if data.get(key) is not None},
    }
    result = data.get("res")
    if isinstance(result, Mapping):
        short["changed"] = bool(result.get("changed"))
        if message := result.get("msg") or ("censored" in result and HIDDEN):
            short["msg"] = message
    return short
