"""The records of past runs, read again: found, summed up, and played back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from kubestead.paths import state_dir
from kubestead.runs.account import Account, Change, TaskTime, outcome
from kubestead.runs.progress import Event, Failure, HostStats, PhaseTime, Progress
from kubestead.runs.record import STAMP, alive, read, restore
from kubestead.runs.render import choose_renderer

LAST = "last"


class NoSuchRunError(ValueError):
    """No run of that name, or several; the message says which there are."""


@dataclass(frozen=True)
class Run:
    """One run by its record. ``about`` is what ``run.json`` says, its sums made from the events where the run did not end."""

    folder: Path
    about: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a record. What is missing in it is empty, never an error."""
        about = {**_named(folder), **read(folder)}
        if "rc" in about:
            return cls(folder, about)
        state = "running" if alive(about) else "broken off"
        return cls(folder, {**about, **_summed(folder), "outcome": state, "ok": False})

    @property
    def id(self) -> str:
        """The name of the record's folder: time and playbook."""
        return self.folder.name

    @property
    def started(self) -> str:
        """When it began: ISO 8601, UTC."""
        return str(self.about.get("started", ""))

    @property
    def playbook(self) -> str:
        """``site``, or the path of a user's own."""
        return str(self.about.get("playbook", ""))

    @property
    def name(self) -> str:
        """The playbook's name for people."""
        return Path(self.playbook).name + (" (check)" if self.about.get("check") else "")

    @property
    def inventory(self) -> str:
        """The path of the inventory, or an empty string."""
        return str(self.about.get("inventory", ""))

    @property
    def cluster(self) -> str:
        """The cluster's name or, where it is not known, the inventory's."""
        return str(self.about.get("cluster") or Path(self.inventory).name)

    @property
    def outcome(self) -> str:
        """``succeeded``, ``failed``, ``stopped``, ``timed out``, ``running``, or ``broken off`` for a run that was killed."""
        return str(self.about.get("outcome") or ("succeeded" if self.about.get("ok") else "failed"))

    @property
    def reason(self) -> str:
        """Why it was stopped, in a sentence; empty where it came to an end of its own."""
        return str(self.about.get("reason") or "")

    @property
    def seconds(self) -> float:
        """The time of all phases together."""
        return float(self.about.get("seconds") or 0.0)

    @property
    def changed(self) -> int:
        """The number of changed results over all hosts."""
        return sum(host.changed for host in self.hosts.values())

    @property
    def command(self) -> str:
        """The line of ansible-playbook that did the same."""
        return str(self.about.get("command", ""))

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of what took part."""
        return dict(self.about.get("versions") or {})

    @cached_property
    def phases(self) -> list[PhaseTime]:
        """The phases in their order."""
        return [PhaseTime(**phase) for phase in self.about.get("phases", [])]

    @cached_property
    def hosts(self) -> dict[str, HostStats]:
        """The counts of each host."""
        counts = ("ok", "changed", "failed", "unreachable", "skipped")
        hosts = self.about.get("hosts") or {}
        return {name: HostStats(**{key: host.get(key, 0) for key in counts}) for name, host in hosts.items()}

    @cached_property
    def host_seconds(self) -> dict[str, dict[str, float]]:
        """Seconds that each host's tasks took, by phase."""
        return {name: dict(host.get("phases") or {}) for name, host in (self.about.get("hosts") or {}).items()}

    @cached_property
    def failures(self) -> list[Failure]:
        """What hosts did not recover from."""
        return [Failure(**failure) for failure in self.about.get("failures", [])]

    @cached_property
    def tasks(self) -> list[TaskTime]:
        """The tasks, the costliest first."""
        tasks = [TaskTime(**task) for task in self.about.get("tasks", [])]
        return sorted(tasks, key=lambda task: -task.seconds)

    @cached_property
    def changes(self) -> list[Change]:
        """Each change in the order of the run."""
        return [Change(**change) for change in self.about.get("changes", [])]

    def events(self) -> Iterator[Event]:
        """The events as :class:`~kubestead.runs.progress.Progress` takes them."""
        return (restore(line) for line in _lines(self.folder))

    def as_json(self) -> dict[str, Any]:
        """For machines: the keys of ``run.json``, and ``id``, ``record`` (a folder) and ``changed`` (a number)."""
        known = {key: value for key, value in self.about.items() if key not in ("process", "planned")}
        return {"id": self.id, "record": str(self.folder), **known, "outcome": self.outcome, "changed": self.changed}


def runs() -> list[Run]:
    """All recorded runs, the newest first; also those of the labs, whose records go with their lab."""
    state = state_dir()
    roots = [state / "runs", *(state / "lab").glob("*/runs")]
    folders = [folder for root in roots if root.is_dir() for folder in root.iterdir() if folder.is_dir()]
    return [Run.load(folder) for folder in sorted(folders, key=lambda folder: folder.name, reverse=True)]


def find(name: str) -> Run:
    """The run of that name, of which the beginning is enough where it is the only such, or the ``last`` one.

    Raises :class:`NoSuchRunError`.
    """
    recorded = runs()
    if not recorded:
        raise NoSuchRunError("there is no record of a run yet")
    found = recorded[:1] if name == LAST else [run for run in recorded if name and run.id.startswith(name)]
    if not found:
        raise NoSuchRunError(f"no run begins with {name!r}; `kubestead runs list` names them")
    if len(found) > 1:
        raise NoSuchRunError(f"{name!r} may be {', '.join(run.id for run in found)}")
    return found[0]


def alike(run: Run, among: Iterable[Run]) -> list[Run]:
    """The runs of the same playbook and inventory, checks apart, the oldest first; the run itself is one of them."""
    what = (run.playbook, run.inventory, bool(run.about.get("check")))
    same = [other for other in among if (other.playbook, other.inventory, bool(other.about.get("check"))) == what]
    return sorted(same, key=lambda other: other.id)


def replay(run: Run, console: Console, speed: float = 0.0) -> None:
    """Show a run again: ``speed`` times as fast as it was, or without any waiting where it is 0."""
    progress = Progress(planned=tuple(run.about.get("planned") or ()))
    clock = _Clock(progress, speed)
    with choose_renderer(console, progress, clock.now) as renderer:
        for event in run.events():
            clock.wait(event)
            for notice in progress.feed(event):
                renderer.show(notice)
        for notice in progress.finish():
            renderer.show(notice)


class _Clock:
    """The time of the run that is shown again, which goes on between two events."""

    def __init__(self, progress: Progress, speed: float) -> None:
        self._progress = progress
        self._speed = speed
        self._since = time.monotonic()

    def now(self) -> float:
        return self._progress.now + (time.monotonic() - self._since) * self._speed

    def wait(self, event: Event) -> None:
        created = event.get("created")
        if not created:
            return
        if self._speed and self._progress.now:
            ahead = datetime.fromisoformat(created).timestamp() - self.now()
            time.sleep(max(0.0, ahead / self._speed))
        self._since = time.monotonic()


def _named(folder: Path) -> dict[str, Any]:
    """What the name of a record's folder tells."""
    stamp, _, playbook = folder.name.partition("-")
    try:
        started = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).isoformat(timespec="seconds")
    except ValueError:
        started = ""
    return {"started": started, "playbook": playbook}


def _summed(folder: Path) -> dict[str, Any]:
    """The sums of a run that did not come to write them."""
    progress, account = Progress(), Account()
    for event in map(restore, _lines(folder)):
        list(progress.feed(event))
        account.feed(event, progress)
    list(progress.finish())
    return outcome(progress, account)


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        text = (folder / "events.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):
        try:
            values = json.loads(line)
        except ValueError:  # the last one, where the disk was full or the run was killed
            continue
        if isinstance(values, dict):
            yield values
