"""What a run took and changed: per host and phase, per task, and each change by its name.

Fed with the same events as :class:`~kubestead.runs.progress.Progress`, so that the account of a run that was killed can
be made from its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kubestead.runs.progress import Event, HostStats, Progress

_RESULTS = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped")
_STARTS = ("playbook_on_task_start", "playbook_on_handler_task_start")


@dataclass(slots=True)
class TaskTime:
    """One task of one phase.

    ``seconds`` is how long the run was at it, from its start to the last host's result; ``results`` the number of hosts'
    results, those that left it out not counted.
    """

    phase: str
    task: str
    path: str
    seconds: float = 0.0
    results: int = 0
    changed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A task that changed something on a host."""

    host: str
    phase: str
    task: str


@dataclass(slots=True)
class _Task:
    entry: TaskTime
    before: float  # seconds of its earlier starts
    started: float


@dataclass(slots=True)
class Account:
    """The sums of a run, brought forward by one event after another.

    ``hosts`` holds the seconds that each host's tasks took, by phase: hosts work at the same time, so that their sum is more than
    the run's time.
    """

    tasks: dict[tuple[str, str, str], TaskTime] = field(default_factory=dict)
    hosts: dict[str, dict[str, float]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    _begun: dict[tuple[str, str, str], _Task] = field(default_factory=dict)

    def feed(self, event: Event, progress: Progress) -> None:
        """Take in an event; ``progress`` tells phase and time, so it must not have ended the phase of this event."""
        kind = event.get("event")
        if kind in _STARTS:
            self._start(event.get("event_data") or {}, progress)
        elif kind in _RESULTS:
            self._result(str(kind), event.get("event_data") or {}, progress)

    def _start(self, data: Mapping[str, Any], progress: Progress) -> _Task:
        key = (progress.phase, str(data.get("task") or data.get("name") or ""), str(data.get("task_path") or ""))
        entry = self.tasks.setdefault(key, TaskTime(*key))
        begun = self._begun[key] = _Task(entry, entry.seconds, progress.now)
        return begun

    def _result(self, kind: str, data: Mapping[str, Any], progress: Progress) -> None:
        key = (progress.phase, str(data.get("task") or ""), str(data.get("task_path") or ""))
        begun = self._begun.get(key) or self._start(data, progress)
        entry = begun.entry
        entry.seconds = max(entry.seconds, begun.before + progress.now - begun.started)
        host = str(data.get("host"))
        by_phase = self.hosts.setdefault(host, {})
        by_phase[key[0]] = by_phase.get(key[0], 0.0) + float(data.get("duration") or 0.0)
        if kind == "runner_on_skipped":
            return
        entry.results += 1
        result = data.get("res")
        if kind != "runner_on_ok":
            entry.failed += not data.get("ignore_errors")
        elif isinstance(result, Mapping) and result.get("changed"):
            entry.changed += 1
            self.changes.append(Change(host, key[0], key[1]))


def outcome(progress: Progress, account: Account) -> dict[str, Any]:
    """The times, counts and failures of a run as its record holds them: seconds rounded to tenths, tasks to hundredths."""
    phases = progress.phases()
    return {
        "seconds": round(sum(phase.seconds for phase in phases), 1),
        "phases": [asdict(phase) for phase in phases],
        "hosts": {name: _host(host, account.hosts.get(name, {})) for name, host in progress.hosts.items()},
        "failures": [asdict(failure) for failure in progress.final_failures()],
        "tasks": [{**asdict(task), "seconds": round(task.seconds, 2)} for task in account.tasks.values()],
        "changes": [asdict(change) for change in account.changes],
    }


def _host(host: HostStats, by_phase: Mapping[str, float]) -> dict[str, Any]:
    counts = {key: value for key, value in asdict(host).items() if key != "task"}
    phases = {phase: round(value, 1) for phase, value in by_phase.items()}
    return {**counts, "seconds": round(sum(phases.values()), 1), "phases": phases}
