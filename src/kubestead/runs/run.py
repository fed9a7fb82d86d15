"""Runs one playbook through ansible-runner: shows it, records it, explains how it ended."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
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
from kubestead.runs.render import choose_renderer
from kubestead.runs.secrets import Secrets, hide_options
from kubestead.runs.terminal import lasting, outlive_terminal

INTERRUPTED = 130
_ASKING = {
    **dict.fromkeys(("-k", "--ask-pass"), "--connection-password-file"),
    **dict.fromkeys(("-K", "--ask-become-pass"), "--become-password-file"),
    **dict.fromkeys(("-J", "--ask-vault-password", "--ask-vault-pass"), "--vault-password-file"),
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    ``data`` is what the playbook itself handed out with ``set_stats``; ``record`` the folder with the run's record.
    """

    ok: bool
    rc: int
    phases: list[PhaseTime]
    hosts: dict[str, HostStats]
    failures: list[Failure]
    record: Path
    command: str
    data: dict[str, Any] = field(default_factory=dict)

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
) -> RunResult:
    """Run a playbook of the collection (``site``, ``reset``) or a user's own (a path) and tell how it goes.

    ``records`` is the folder of the records, for runs whose records are to go with something else. ``watch`` is told every event.
    ``extra_vars`` and ``passthrough`` are seen in the list of processes and in the record: no secrets in them. A
    failure is explained here and told by the result; only a playbook or a phase that there is not, and a question of the playbook
    that neither of the two answers, raise :class:`~kubestead.runs.playbooks.PlaybookError`; and a run that would change what
    another run is changing raises :class:`~kubestead.runs.lock.LockedError`.
    """
    console = lasting(console or Console())
    target = resolve(playbook)
    _refuse_unanswered(playbook, extra_vars or {}, passthrough)
    options = _options(limit, tags, extra_vars, check, start_at, passthrough)
    command = command_line(target, ["-i", str(inventory), *options])
    hidden = command_line(target, ["-i", str(inventory), *hide_options(options)])
    console.print(command, style="dim", markup=False, highlight=False, soft_wrap=True)

    def warn(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    alone = nullcontext() if check or target in READ_ONLY else _claim(inventory, hidden, warn)
    progress = Progress(planned=planned(target, options))
    with alone, outlive_terminal(), _stop_on_signal() as stopped:
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
                rc = _run(target, inventory, options, record.runner_directory, handle, stopped)
            except OSError as error:  # the disk is full, say
                warn(f"Ansible was ended, because its files could not be written: {error}")
                rc = 1
            for notice in progress.finish():
                renderer.show(notice)
            rc = INTERRUPTED if stopped() else rc
        record.end(_ending(rc), progress)

    result = RunResult(
        ok=rc == 0,
        rc=rc,
        phases=progress.phases(),
        hosts=progress.hosts,
        failures=progress.final_failures() if rc else [],
        record=record.directory,
        command=command,
        data=progress.data,
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
    stopped: Callable[[], bool],
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
        if stopped():
            orphans.update(hold(others))
        return stopped()

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


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a flag that the runner asks for; puts the handlers back afterwards."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
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


def _ending(rc: int) -> dict[str, Any]:
    outcome = {0: "succeeded", INTERRUPTED: "stopped"}.get(rc, "failed")
    return {"ended": _now(), "ok": rc == 0, "rc": rc, "outcome": outcome}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _resume(result: RunResult) -> str | None:
    """Write the Ansible line that leaves out the phases before the one that failed."""
    phase = result.failures[0].phase
    if phase not in PHASES[1:] or "--skip-tags" in result.command:
        return None
    return f"{result.command} --skip-tags {','.join(phases_before(phase))}"


def tell(console: Console, result: RunResult) -> None:
    """Say how a run ended and, where it failed, why and how to go on."""
    if result.ok:
        report.print_outcome(console, result.phases, result.hosts)
        return
    resume = None
    if result.rc == INTERRUPTED:
        console.print("Stopped.", style="bold")
    elif result.failures:
        report.print_failures(console, result.failures)
        resume = _resume(result)
    else:
        report.print_broken(console, result.record / "output.log", begun=bool(result.phases))
    report.print_next(console, command=result.command, record=result.record, resume=resume)
