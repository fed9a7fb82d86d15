"""Runs one playbook through ansible-runner: shows it, records it, explains how it ended."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from kubestead.processes import descendants, end, hold
from kubestead.runs import report
from kubestead.runs.inventory import digest, known
from kubestead.runs.lock import claim
from kubestead.runs.playbooks import (
    COLLECTION,
    READ_ONLY,
    PlaybookError,
    check_tags,
    command_line,
    executables,
    phases_before,
    planned,
    questions,
    resolve,
    settings_file,
)
from kubestead.runs.progress import PHASES, Event, Failure, HostStats, PhaseTime, Progress
from kubestead.runs.record import FORMAT, Record
from kubestead.runs.render import choose_renderer, seconds
from kubestead.runs.secrets import Secrets, hide_options
from kubestead.runs.terminal import lasting, outlive_terminal
from kubestead.runs.variables import check_limit

INTERRUPTED = 130
TIMED_OUT = 124  # as timeout(1) has it
_ASKING = {
    **dict.fromkeys(("-k", "--ask-pass"), "--connection-password-file"),
    **dict.fromkeys(("-K", "--ask-become-pass"), "--become-password-file"),
    **dict.fromkeys(("-J", "--ask-vault-password", "--ask-vault-pass"), "--vault-password-file"),
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    ``data`` is what the playbook itself handed out with ``set_stats``; ``record`` the folder with the run's record; ``reason``
    why it was stopped, where it was.
    """

    ok: bool
    rc: int
    phases: list[PhaseTime]
    hosts: dict[str, HostStats]
    failures: list[Failure]
    record: Path
    command: str
    data: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def seconds(self) -> float:
        """The time of all phases together."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def changed(self) -> int:
        """The number of changed task results over all hosts."""
        return sum(host.changed for host in self.hosts.values())


def run_playbook(
    playbook: str,
    inventory: Path,
    *,
    limit: str | None = None,
    tags: Sequence[str] | None = None,
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
    start_at: str | None = None,
    passthrough: Sequence[str] = (),
    console: Console | None = None,
    records: Path | None = None,
    watch: Callable[[Event], None] | None = None,
    time_limit: float | None = None,
    shown_vars: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run a playbook of the collection (``site``, ``reset``) or a user's own (a path) and tell how it goes.

    ``records`` is the folder of the records, for runs whose records are to go with something else. ``watch`` is told every event.
    ``shown_vars`` take the place of ``extra_vars`` in the line that is shown, where those name what only this process has.
    After ``time_limit`` seconds the run is stopped as Ctrl-C stops it.
    ``extra_vars`` and ``passthrough`` are seen in the list of processes and in the record: no secrets in them. A
    failure is explained here and told by the result; only a playbook, a phase, a tag or a host of the limit that there is not, and a
    question of the playbook that neither of the two answers, raise :class:`~kubestead.runs.playbooks.PlaybookError`; and a run that would
    change what another run is changing raises :class:`~kubestead.runs.lock.LockedError`.
    """
    console = lasting(console or Console())
    target = resolve(playbook)
    _refuse_unanswered(playbook, extra_vars or {}, passthrough)
    check_tags(target, [*(tags or ()), *_values(passthrough, "--tags", "-t", "--skip-tags")])
    for hosts in (limit, *_values(passthrough, "--limit", "-l")):
        check_limit(inventory, hosts, passthrough)
    options = _options(limit, tags, extra_vars, check, start_at, passthrough)
    shown = _options(limit, tags, shown_vars or extra_vars, check, start_at, passthrough)
    command = command_line(target, ["-i", str(inventory), *shown])
    hidden = command_line(target, ["-i", str(inventory), *hide_options(shown)])
    console.print(command, style="dim", markup=False, highlight=False, soft_wrap=True)

    def warn(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    alone = nullcontext() if check or target in READ_ONLY else _claim(inventory, hidden, warn)
    progress = Progress(planned=planned(target, options))
    with alone, outlive_terminal(), _stop_on_signal(time_limit) as stop:
        record = Record.begin(
            playbook,
            records,
            {**_about(target, inventory, options), "command": hidden, "planned": progress.planned},
            secrets=Secrets.of(options),
            warn=warn,
        )
        with choose_renderer(console, progress) as renderer:

            def handle(event: Event) -> bool:
                notices = list(progress.feed(event))
                record.event(event, progress)
                if watch:
                    watch(event)
                for notice in notices:
                    renderer.show(notice)
                return False  # ansible-runner's own event files hold whole results: none are kept

            try:
                rc = _run(target, inventory, options, record.runner_directory, handle, stop)
            except OSError as error:  # the disk is full, say
                warn(f"Ansible was ended, because its files could not be written: {error}")
                rc = 1
            for notice in progress.finish():
                renderer.show(notice)
            rc = stop.rc or rc
            reason = stop.reason(progress.phases()) if stop.rc else ""
        record.end(_ending(rc, reason), progress)

    result = RunResult(
        ok=rc == 0,
        rc=rc,
        phases=progress.phases(),
        hosts=progress.hosts,
        failures=progress.final_failures() if rc else [],
        record=record.directory,
        command=command,
        data=progress.data,
        reason=reason,
    )
    tell(console, result)
    return result


def _claim(inventory: Path, command: str, warn: Callable[[str], None]) -> AbstractContextManager[object]:
    try:
        return claim(inventory, command)
    except OSError as error:  # the folder of the locks cannot be written: no reason to leave a cluster unfinished
        warn(f"Nothing keeps a second run out: {error}")
        return nullcontext()


def _refuse_unanswered(playbook: str, extra_vars: Mapping[str, Any], passthrough: Sequence[str]) -> None:
    # Nobody sees Ansible's own prompt here: it would wait for ever.
    for name, prompt in questions(playbook).items():
        if name not in extra_vars and not any(f"{name}=" in word for word in passthrough):
            raise PlaybookError(f"{playbook} asks: {prompt}. Answer with --extra-vars {name}=…")
    for word, instead in _ASKING.items():
        if word in passthrough:
            raise PlaybookError(
                f"{word} would ask where nobody sees it. Put the password into a file, and give {instead} FILE"
            )


def _values(passthrough: Sequence[str], *names: str) -> list[str]:
    """What options for ansible-playbook were given, as ``--tags join`` or ``--tags=join``."""
    apart = [value for word, value in pairwise(passthrough) if word in names]
    return apart + [
        value for name, _, value in (word.partition("=") for word in passthrough) if value and name in names
    ]


def _options(
    limit: str | None,
    tags: Sequence[str] | None,
    extra_vars: Mapping[str, Any] | None,
    check: bool,
    start_at: str | None,
    passthrough: Sequence[str],
) -> list[str]:
    options: list[str] = []
    if limit:
        options += ["--limit", limit]
    if tags:
        options += ["--tags", ",".join(tags)]
    if start_at and (earlier := phases_before(start_at)):
        options += ["--skip-tags", ",".join(earlier)]
    if extra_vars:
        options += ["--extra-vars", json.dumps(dict(extra_vars))]
    if check:
        options.append("--check")
    return [*options, *passthrough]


def _run(
    target: str,
    inventory: Path,
    options: Sequence[str],
    directory: Path,
    handle: Callable[[Event], bool],
    stop: _Stop,
) -> int:
    from ansible_runner.interface import run  # slow to import, and most commands run no playbook

    temporary = directory / "tmp"
    temporary.mkdir(mode=0o700)
    environment = {
        "ANSIBLE_CONFIG": os.environ.get("ANSIBLE_CONFIG") or str(settings_file()),
        # ansible-runner would switch it off.
        "ANSIBLE_HOST_KEY_CHECKING": os.environ.get("ANSIBLE_HOST_KEY_CHECKING", "True"),
        # A stopped Ansible leaves its temporary files: here they go with the folder.
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        "PATH": f"{executables()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    orphans: set[int] = set()
    others = descendants(os.getpid())

    def cancelled() -> bool:
        # ansible-runner kills Ansible's process group, but Ansible's workers have groups of their own.
        if stop.wanted():
            orphans.update(hold(others))
        return stop.rc is not None

    try:
        runner = run(
            private_data_dir=str(directory),
            project_dir=str(Path.cwd()),
            playbook=target,
            inventory=str(inventory.resolve()),
            cmdline=shlex.join(options),
            envvars=environment,
            event_handler=handle,
            cancel_callback=cancelled,
            quiet=True,
            suppress_env_files=True,
        )
    except OSError:  # nobody listens to Ansible any more
        orphans.update(hold(others))
        raise
    finally:
        end(orphans)
    return int(runner.rc)


@dataclass(slots=True)
class _Stop:
    """Whether a run is to stop before its end: somebody said so, or its time is over."""

    limit: float | None
    rc: int | None = None
    _began: float = field(default_factory=time.monotonic)

    def wanted(self) -> bool:
        """Ask again; a run that has ended meanwhile is not asked, and so was in time."""
        if self.rc is None and self.limit is not None and time.monotonic() - self._began >= self.limit:
            self.rc = TIMED_OUT
        return self.rc is not None

    def reason(self, phases: Sequence[PhaseTime]) -> str:
        """Why the run was stopped, and where it was."""
        where = f"in phase {phases[-1].name}" if phases else "before its first phase"
        if self.rc == TIMED_OUT:
            return f"Stopped {where}: its time limit of {seconds(self.limit or 0.0)} was over."
        return f"Stopped {where}, by Ctrl-C or a signal."


@contextmanager
def _stop_on_signal(limit: float | None) -> Iterator[_Stop]:
    """Turn Ctrl-C and SIGTERM into what the runner asks for; puts the handlers back afterwards."""
    stop = _Stop(limit)

    def note(number: int, frame: FrameType | None) -> None:
        stop.rc = INTERRUPTED

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _about(target: str, inventory: Path, options: Sequence[str]) -> dict[str, Any]:
    """What is known of a run before it begins."""
    said = known(inventory)
    return {
        "format": FORMAT,
        "playbook": target.removeprefix(f"{COLLECTION}."),
        "inventory": str(inventory.resolve()),
        "inventory_digest": digest(inventory),
        "cluster": said["cluster"],
        "check": "--check" in options,
        "started": _now(),
        "versions": {
            **{name: version(name) for name in ("kubestead", "ansible-core", "ansible-runner")},
            "python": platform.python_version(),
            "kubernetes": said["kubernetes"],
        },
    }


def _ending(rc: int, reason: str) -> dict[str, Any]:
    return {"ended": _now(), "ok": rc == 0, "rc": rc, "outcome": outcome(rc), "reason": reason}


def outcome(rc: int) -> str:
    """How a run ended, in a word or two."""
    return {0: "succeeded", INTERRUPTED: "stopped", TIMED_OUT: "timed out"}.get(rc, "failed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _resume(result: RunResult) -> str | None:
    """Write the Ansible line that leaves out the phases before the one that failed."""
    phase = result.failures[0].phase
    if phase not in PHASES[1:] or "--skip-tags" in result.command or _anew(result):
        return None
    return f"{result.command} --skip-tags {','.join(phases_before(phase))}"


def tell(console: Console, result: RunResult) -> None:
    """Say how a run ended and, where it failed, why and how to go on."""
    if result.ok:
        report.print_outcome(console, result.phases, result.hosts)
        return
    resume = None
    if result.reason or result.rc == INTERRUPTED:
        console.print(result.reason or "Stopped.", style="bold", markup=False, highlight=False, soft_wrap=True)
    elif result.failures:
        report.print_failures(console, result.failures)
        resume = _resume(result)
    else:
        report.print_broken(console, result.record / "output.log", begun=bool(result.phases))
    report.print_next(console, command=result.command, record=result.record, resume=resume, anew=_anew(result))


def _anew(result: RunResult) -> bool:
    """Whether the same run again would begin from the start, and not go on where this one ended."""
    return f" {COLLECTION}.rebuild " in result.command
