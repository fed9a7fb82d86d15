"""What is said at the end of a run: the outcome, and for a failure where, why, what to do and how to go on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kubestead.runs.progress import Failure, HostStats, PhaseTime
from kubestead.runs.render import harmless, seconds

MAX_FAILURES = 5


def print_outcome(console: Console, phases: Sequence[PhaseTime], hosts: dict[str, HostStats]) -> None:
    """Say that the run succeeded, how long it took and what it changed."""
    changed = {name: host.changed for name, host in hosts.items() if host.changed}
    what = ", ".join(f"{name} {count}" for name, count in changed.items()) if changed else "nothing"
    _print(console, f"Done in {seconds(sum(phase.seconds for phase in phases))}. Changed: {what}.")


def print_failures(console: Console, failures: Sequence[Failure]) -> None:
    """Explain each failure; hosts that failed alike are named together."""
    alike: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        alike.setdefault((failure.task, failure.message, failure.path), []).append(failure)
    for group in list(alike.values())[:MAX_FAILURES]:
        first = group[0]
        _print(console, "")
        _print(console, f"Failed on {', '.join(failure.host for failure in group)}", style="bold red")
        _print(console, f"  phase    {first.phase}")
        _print(console, f"  task     {first.task}")
        _print(console, f"  at       {first.path}")
        _print(console, textwrap.indent(first.message, "  | "))
        if first.unreachable:
            _print(console, f"  {_reach(first)}")
    if len(alike) > MAX_FAILURES:
        _print(console, f"and {len(alike) - MAX_FAILURES} more failures, in the record of this run.")


def print_broken(console: Console, output: Path, *, begun: bool = False) -> None:
    """Show the last words of Ansible where it ended without a task that failed; ``begun`` where it had come to tasks."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else []
    when = "" if begun else " before it came to a task"
    _print(console, f"Ansible stopped{when}:", style="bold red")
    _print(console, textwrap.indent("\n".join(lines[-30:]), "  | "))


def print_next(console: Console, *, command: str, record: Path, resume: str | None, anew: bool = False) -> None:
    """Say how to go on after a run that failed or was stopped; ``anew`` where that is to begin from the start."""
    then = "it begins from the start" if anew else "what is done stays done, the rest follows"
    _print(console, "")
    _print(console, f"Once the cause is mended, run the same command again: {then}.")
    _print(console, f"The same with Ansible:   {command}")
    if resume:
        _print(console, f"From that phase on:      {resume}")
    _print(console, f"Record of this run:      {record}")


def _reach(failure: Failure) -> str:
    return (
        f"{failure.host} did not answer over SSH. Is it running, is its address (ansible_host) right, "
        "and may this user log in (ansible_user, ansible_ssh_private_key_file)?"
    )


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(harmless(text), style=style or None, markup=False, highlight=False, soft_wrap=True)
