"""The records of runs: one folder for each, readable by its owner alone, without results of tasks, so without secrets.

``<state>/runs/<time>-<playbook>/``: ``run.json`` (what, when, versions, outcome, times), ``events.jsonl`` (one line for each
event), and ``output.log`` (what ansible-playbook printed). The newest :data:`KEPT` stay.

A record that cannot be written is no reason to break off a run: it is said once, and the run goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from kubestead.paths import state_dir
from kubestead.processes import started
from kubestead.runs.account import Account, outcome
from kubestead.runs.progress import Event, Progress, told
from kubestead.runs.secrets import Secrets

KEPT = 20
STAMP = "%Y%m%dT%H%M%S.%f"  # how the names of records begin
FORMAT = 1  # of run.json and report.json
ROOM = 32 * 1024 * 1024  # bytes: what ansible-runner and Ansible write meanwhile, with a margin
_DATA_KEYS = ("play", "task", "role", "host", "duration", "task_path", "task_action", "ignore_errors")


class Record:
    """The record of one run, written while it goes, so that it tells of a run that was killed too."""

    def __init__(
        self,
        directory: Path,
        about: Mapping[str, Any] | None = None,
        *,
        secrets: Secrets | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        directory.mkdir(parents=True, mode=0o700)
        self.directory = directory
        self._about = dict(about or {})
        self._secrets = secrets or Secrets()
        self._warn = warn
        self._account = Account()
        self._broken = False
        self._events: TextIO = (directory / "events.jsonl").open("w", encoding="utf-8", buffering=1)
        mark = {"pid": os.getpid(), "started": started(os.getpid())}
        self._write({**self._about, "process": mark})

    @classmethod
    def begin(
        cls,
        playbook: str,
        root: Path | None = None,
        about: Mapping[str, Any] | None = None,
        *,
        secrets: Secrets | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> Record:
        """Make the folder of a new run, with what is known ``about`` it, and remove the oldest ones.

        Where ``root`` (the records below the state folder, if None) cannot be written or is full, the record goes to a new
        folder for temporary files, and ``warn`` gets the one sentence that says so. Raises OSError where neither can be had.
        """
        root = root or state_dir() / "runs"
        stamp = datetime.now(UTC).strftime(STAMP)
        name = f"{stamp}-{Path(playbook).name.removesuffix('.yml').rpartition('.')[2]}"
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (free := shutil.disk_usage(root).free) < ROOM:
                raise OSError(f"only {free // 1024**2} MiB are free, of at least {ROOM // 1024**2}")
            record = cls(root / name, about, secrets=secrets, warn=warn)
        except OSError as error:
            instead = Path(tempfile.mkdtemp(prefix="kubestead-"))
            warn(f"No record can be kept in {root} ({_reason(error)}). That of this run goes to {instead / name}.")
            return cls(instead / name, about, secrets=secrets, warn=warn)
        _rotate(root)
        return record

    @property
    def runner_directory(self) -> Path:
        """Where ansible-runner and Ansible put what they need during the run."""
        directory = self.directory / "runner"
        directory.mkdir(exist_ok=True, mode=0o700)
        return directory

    def event(self, event: Event, progress: Progress) -> None:
        """Note one event, which ``progress`` has taken in already, without the result of the task beyond what is told of it."""
        self._account.feed(event, progress)
        if self._broken:
            return
        line = json.dumps(self._secrets.hide(summarize(event)))
        self._try(lambda: self._events.write(line + "\n"))

    def end(self, ending: Mapping[str, Any], progress: Progress) -> None:
        """Write how the run ended; keep what Ansible printed and remove what was there for the run only."""
        whole = {**self._about, **ending, **self._secrets.hide(outcome(progress, self._account))}
        if ending.get("ok"):
            whole["failures"] = []  # what Ansible itself did not count, as of a host that may be unreachable
        self._try(self._events.close)
        self._try(self._keep_output)
        shutil.rmtree(self.runner_directory, ignore_errors=True)
        self._write(whole)

    def _keep_output(self) -> None:
        for output in self.runner_directory.glob("artifacts/*/stdout"):
            text = output.read_text(encoding="utf-8", errors="replace")
            if (hidden := self._secrets.hide(text)) != text:
                output.write_text(hidden, encoding="utf-8")
            output.replace(self.directory / "output.log")

    def _write(self, content: Mapping[str, Any]) -> None:
        def write() -> None:
            beside = self.directory / ".run.json"
            beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            beside.replace(self.directory / "run.json")

        self._try(write)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if not self._broken:
                self._broken = True
                self._warn(f"The record {self.directory} stays incomplete: {_reason(error)}. The run goes on.")


def summarize(event: Event) -> dict[str, Any]:
    """Reduce an event to what tells of the run: never a task's arguments, and of its result only change and what is told."""
    data = event.get("event_data") or {}
    short: dict[str, Any] = {
        "event": event.get("event"),
        "created": event.get("created"),
        **{key: data[key] for key in _DATA_KEYS if data.get(key) is not None},
    }
    result = data.get("res")
    if isinstance(result, Mapping):
        short["changed"] = bool(result.get("changed"))
    short.update(told(event))
    return short


def restore(line: Mapping[str, Any]) -> Event:
    """The event of a recorded line, as far as :class:`~kubestead.runs.progress.Progress` asks: the opposite of :func:`summarize`."""
    data = {key: line[key] for key in _DATA_KEYS if key in line}
    result = {"changed": line.get("changed", False), "msg": line.get("msg", "")}
    if line.get("progress"):
        result["progress"] = line["progress"]
    if line.get("note"):
        result["_ansible_verbose_always"] = True
    event = {"event": line.get("event", ""), "created": line.get("created"), "event_data": {**data, "res": result}}
    if "lost" in line:
        event["event_data"]["failures"] = dict.fromkeys(line["lost"], 1)
    return {**event, "stdout": line.get("text", "")}


def alive(about: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a record without an outcome is still there."""
    process = about.get("process") or {}
    return "rc" not in about and bool(process) and started(int(process["pid"])) == process["started"] != ""


def read(directory: Path) -> dict[str, Any]:
    """What ``run.json`` says; empty where there is none that can be read."""
    try:
        about = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _rotate(root: Path) -> None:
    for old in sorted(path for path in root.iterdir() if path.is_dir())[:-KEPT]:
        if not alive(read(old)):
            shutil.rmtree(old, ignore_errors=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
