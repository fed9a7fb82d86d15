"""Runs a playbook for a verb: where its words go, what is printed for programs, and which exit code says what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from kubestead.cli.options import InventoryError, RunOptions

if TYPE_CHECKING:
    from kubestead.runs import RunResult
    from kubestead.runs.progress import Event

FAILED = 1
USAGE = 2
LOCKED = 3
TIMED_OUT = 124
STOPPED = 130


@contextmanager
def explained(*, usage: int = USAGE) -> Iterator[None]:
    """Turn what keeps a run from starting into one message and an exit code."""
    from kubestead.runs.lock import LockedError
    from kubestead.runs.playbooks import PlaybookError
    from kubestead.runs.variables import VariablesError

    try:
        yield
    except LockedError as error:
        raise refused(str(error), LOCKED) from error
    except VariablesError as error:
        raise refused(str(error), FAILED) from error
    except (InventoryError, PlaybookError) as error:
        raise refused(str(error), usage) from error


def refused(message: str, code: int) -> typer.Exit:
    """Say on standard error why nothing was done; gives the end to raise."""
    typer.echo(f"kubestead: {message}", err=True)
    return typer.Exit(code)


def seconds_of(time_limit: str | None) -> float | None:
    """The seconds that --time-limit names, if it was given; refuses what is no time."""
    from kubestead.runs.duration import duration

    try:
        return duration(time_limit) if time_limit is not None else None
    except ValueError as error:
        raise refused(f"--time-limit: {error}", USAGE) from error


def run(
    playbook: str,
    options: RunOptions,
    *,
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
    watch: Callable[[Event], None] | None = None,
    time_limit: float | None = None,
    shown_vars: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run a playbook with what the verb was given. Its progress goes to standard error where a document follows."""
    from rich.console import Console

    from kubestead.runs import run_playbook

    return run_playbook(
        playbook,
        options.inventory,
        limit=options.limit,
        tags=options.tags,
        extra_vars=extra_vars,
        check=check,
        start_at=options.start_at,
        passthrough=options.passthrough,
        console=Console(stderr=options.as_json),
        watch=watch,
        time_limit=time_limit,
        shown_vars=shown_vars,
    )


def conclude(result: RunResult, options: RunOptions, **more: Any) -> typer.Exit:
    """Print the document if one is wanted; gives the end to raise."""
    if options.as_json:
        typer.echo(json.dumps({**as_document(result), **more}, indent=2))
    return typer.Exit(exit_code(result))


def exit_code(result: RunResult) -> int:
    """Ansible's many codes as four: it went well, it failed, it was stopped, by somebody or at its time limit."""
    return result.rc if result.rc in (0, STOPPED, TIMED_OUT) else FAILED


def as_document(result: RunResult) -> dict[str, Any]:
    """A run as its JSON document."""
    hosts = {name: asdict(host) for name, host in result.hosts.items()}
    for host in hosts.values():
        del host["task"]  # the one it was at: none any more
    return {
        "command": result.command,
        "ok": result.ok,
        "rc": result.rc,
        "seconds": round(result.seconds, 1),
        "changed": result.changed,
        "phases": [asdict(phase) for phase in result.phases],
        "hosts": hosts,
        "failures": [asdict(failure) for failure in result.failures],
        "data": result.data,
        "record": str(result.record),
    }
