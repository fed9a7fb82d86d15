"""What ansible-runner's events mean: the phases of a run, what each host does, and what went wrong.

Plain data in, plain data out: no terminal, no clock, no files. Times come from the events themselves, so that a
recorded run gives the same result as a live one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Event = Mapping[str, Any]
NoticeKind = Literal["phase", "phase_end", "changed", "failed", "note", "warning"]

# The phases of playbooks/site.yml: each is a play with that tag, and with that name but for a capital letter.
PHASES = ("validate", "preflight", "prepare", "balance", "bootstrap", "join", "network", "add-ons", "verify")
WAITING = ("kubestead.cluster.conformance_watch",)
"""Modules that wait in a loop, each round of which tells how far it is."""
HIDDEN = "the result is hidden, because it holds secrets"


@dataclass(frozen=True, slots=True)
class Failure:
    """One task that failed on one host, with all that a reader needs to find it."""

    host: str
    phase: str
    task: str
    message: str
    path: str
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """One phase and how long it took."""

    name: str
    seconds: float
    changed: int


@dataclass(slots=True)
class HostStats:
    """Counts of task results on one host, and the task it is at (empty between tasks)."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0
    task: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line, in the moment it happens; ``seconds`` and ``changed`` are those of a phase that ends."""

    kind: NoticeKind
    text: str
    host: str = ""
    task: str = ""
    seconds: float = 0.0
    changed: int = 0


@dataclass(slots=True)
class _Phase:
    name: str
    started: float
    seconds: float = 0.0
    changed: int = 0


@dataclass(slots=True)
class Progress:
    """The state of a run, brought forward by one event after another.

    ``planned`` names the phases that are expected, where they are known.
    """

    planned: tuple[str, ...] = ()
    hosts: dict[str, HostStats] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0
    _phases: list[_Phase] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)
    _running: _Phase | None = None
    _lost: frozenset[str] | None = None

    def feed(self, event: Event) -> Iterator[Notice]:
        """Take in one event; yields what is worth telling about it."""
        kind = event.get("event", "")
        if created := event.get("created"):
            self.now = datetime.fromisoformat(created).timestamp()
        handler = _HANDLERS.get(kind)
        return handler(self, event, event.get("event_data") or {}) if handler else iter(())

    @property
    def phase(self) -> str:
        """The name of the phase that is running; empty before the first and after the last."""
        return self._running.name if self._running else ""

    @property
    def to_come(self) -> tuple[str, ...]:
        """The planned phases after those that have begun."""
        begun = {phase.name for phase in self._phases}
        last = max((index for index, name in enumerate(self.planned) if name in begun), default=-1)
        return self.planned[last + 1 :]

    @property
    def elapsed(self) -> float:
        """Seconds that the running phase has taken, by the newest event."""
        return self.now - self._running.started if self._running else 0.0

    def phases(self) -> list[PhaseTime]:
        """The finished phases in their order. Plays of one name in a row are one phase."""
        return [PhaseTime(phase.name, round(phase.seconds, 1), phase.changed) for phase in self._phases]

    def final_failures(self) -> list[Failure]:
        """The failures that hosts did not recover from, the last of each host; a rescued task is none."""
        last = {failure.host: failure for failure in self.failures}
        if self._lost is None:
            return list(last.values())
        return [failure for host, failure in last.items() if host in self._lost]

    def finish(self) -> Iterator[Notice]:
        """Close the running phase, as the end of the run does, also where the run broke off."""
        running, self._running = self._running, None
        if running is None:
            return
        running.seconds += self.now - running.started
        for stats in self.hosts.values():
            stats.task = ""
        yield Notice("phase_end", running.name, seconds=self.now - running.started, changed=running.changed)

    def _play_start(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        title = str(data.get("name") or data.get("play") or "")
        name = title.lower() if title.lower() in PHASES else title
        if self._running and self._running.name == name:
            return
        yield from self.finish()
        if self._phases and self._phases[-1].name == name:
            self._running = self._phases[-1]
            self._running.started = self.now
        else:
            self._running = _Phase(name, self.now)
            self._phases.append(self._running)
        yield Notice("phase", name)

    def _task_start(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        self._host(data).task = _task(data)
        return iter(())

    def _ok(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        host, result = self._end(data)
        host.ok += 1
        if result.get("changed"):
            host.changed += 1
            if self._running:
                self._running.changed += 1
            yield Notice("changed", "", str(data.get("host")), _task(data))
        yield from self._warnings(result)
        if result.get("_ansible_verbose_always") and result.get("msg"):
            yield Notice("note", _text(result["msg"]), str(data.get("host")), _task(data))

    def _round(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        """One round of a loop, which is worth a word where the task waits for something long and says how far that is."""
        if text := _waiting(data):
            yield Notice("note", text, str(data.get("host")), _task(data))

    def _skipped(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        self._end(data)[0].skipped += 1
        return iter(())

    def _failed(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        host, result = self._end(data)
        if data.get("ignore_errors"):
            return
        unreachable = event.get("event") == "runner_on_unreachable"
        if unreachable:
            host.unreachable += 1
        else:
            host.failed += 1
        failure = Failure(
            host=str(data.get("host")),
            phase=self.phase,
            task=_task(data),
            message=_message(result),
            path=str(data.get("task_path") or ""),
            unreachable=unreachable,
        )
        self.failures.append(failure)
        yield Notice("failed", failure.message, failure.host, failure.task)
        yield from self._warnings(result)

    def _warnings(self, result: Mapping[str, Any]) -> Iterator[Notice]:
        """What a module warned of; many hosts may say the same, and one says it for all."""
        for text in map(str, result.get("warnings") or ()):
            if text not in self._warned:
                self._warned.add(text)
                yield Notice("warning", f"[WARNING]: {text}")

    def _warning(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        if text := str(event.get("stdout") or "").strip():
            yield Notice("warning", text)

    def _stats(self, event: Event, data: Mapping[str, Any]) -> Iterator[Notice]:
        self._lost = frozenset(data.get("failures") or {}) | frozenset(data.get("dark") or {})
        self.data = dict(data.get("artifact_data") or {})
        return self.finish()

    def _host(self, data: Mapping[str, Any]) -> HostStats:
        return self.hosts.setdefault(str(data.get("host")), HostStats())

    def _end(self, data: Mapping[str, Any]) -> tuple[HostStats, Mapping[str, Any]]:
        host = self._host(data)
        host.task = ""
        return host, _result(data)


_HANDLERS = {
    "playbook_on_play_start": Progress._play_start,
    "playbook_on_stats": Progress._stats,
    "runner_on_start": Progress._task_start,
    "runner_on_ok": Progress._ok,
    "runner_item_on_ok": Progress._round,
    "runner_on_skipped": Progress._skipped,
    "runner_on_failed": Progress._failed,
    "runner_on_unreachable": Progress._failed,
    "warning": Progress._warning,
    "deprecated": Progress._warning,
    "error": Progress._warning,
}


def told(event: Event) -> dict[str, Any]:
    """What an event tells beyond names and times.

    That is ``msg`` (``note`` where it is no failure), ``progress`` of what takes long, ``text`` of a warning, hosts ``lost``.

    Messages are those of failures and of tasks whose purpose is a message; nothing else of a result.
    """
    data = event.get("event_data") or {}
    match event.get("event"):
        case "runner_on_failed" | "runner_on_unreachable":
            return {"msg": _message(_result(data))}
        case "runner_on_ok" if _result(data).get("_ansible_verbose_always") and _result(data).get("msg"):
            return {"msg": _text(_result(data)["msg"]), "note": True}
        case "runner_item_on_ok" if _waiting(data):
            return {"progress": _waiting(data)}
        case "warning" | "deprecated" | "error":
            return {"text": str(event.get("stdout") or "").strip()}
        case "playbook_on_stats":
            return {"lost": sorted({*(data.get("failures") or {}), *(data.get("dark") or {})})}
        case _:
            return {}


def _waiting(data: Mapping[str, Any]) -> str:
    """What a task that waits in rounds says of how far it is; nothing of any other task's results."""
    return _text(_result(data).get("progress") or "") if data.get("task_action") in WAITING else ""


def _result(data: Mapping[str, Any]) -> Mapping[str, Any]:
    result = data.get("res")
    return result if isinstance(result, Mapping) else {}


def _task(data: Mapping[str, Any]) -> str:
    return str(data.get("task") or data.get("name") or "")


def _text(value: Any) -> str:
    return "\n".join(str(line) for line in value) if isinstance(value, list) else str(value)


def _message(result: Mapping[str, Any]) -> str:
    """What a task said of its failure: its message and, where a command or a loop failed, that one's own words."""
    if "censored" in result:
        return HIDDEN
    lines = [_text(result["msg"])] if result.get("msg") else []
    for item in result.get("results") or []:
        if isinstance(item, Mapping) and item.get("failed"):
            lines.append(f"{item.get('item', '')}: {_message(item)}".removeprefix(": "))
    if not lines or result.get("msg") == "non-zero return code":
        lines += [str(result[key]).strip() for key in ("stderr", "stdout", "module_stderr") if result.get(key)]
    return "\n".join(line for line in lines if line) or "it gave no reason"
