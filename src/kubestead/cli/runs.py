"""``kubestead runs`` and ``kubestead report``: what past runs did, took and changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from kubestead.runs.history import Run

app = typer.Typer(name="runs", no_args_is_help=True, help="The records of past runs.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run as `runs list` names it, the beginning of its name, or `last`.")
]
SLOWEST = 10
STYLES = {
    "succeeded": "green",
    "failed": "red",
    "broken off": "red",
    "stopped": "yellow",
    "timed out": "yellow",
    "running": "cyan",
}


@app.command("list")
def list_runs(as_json: JsonOption = False) -> None:
    """List the recorded runs, the newest first."""
    from kubestead.runs.history import runs

    recorded = runs()
    if as_json:
        shown = ("id", "started", "playbook", "cluster", "inventory", "check", "outcome", "rc", "seconds", "changed")
        typer.echo(json.dumps([{key: run.as_json().get(key) for key in shown} for run in recorded], indent=2))
    elif recorded:
        Console().print(_listed(recorded))
    else:
        typer.echo("There is no record of a run yet.")


@app.command()
def show(run: RunArgument = "last", as_json: JsonOption = False) -> None:
    """Show one run: phases, hosts, failures, slowest tasks."""
    with _found(run) as found:
        if as_json:
            typer.echo(json.dumps(found.as_json(), indent=2))
        else:
            _show(Console(), found)


@app.command()
def replay(
    run: RunArgument = "last",
    speed: Annotated[
        float, typer.Option(min=0.0, help="Times as fast as it was; 0 shows it at once.", show_default=True)
    ] = 0.0,
) -> None:
    """Show a run again, as it was shown then."""
    from kubestead.runs.history import replay as play
    from kubestead.runs.run import RunResult, tell

    with _found(run) as found:
        console = Console()
        console.print(found.command, style="dim", markup=False, highlight=False, soft_wrap=True)
        try:
            play(found, console, speed)
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error
        if "rc" not in found.about:
            console.print(_unfinished(found), highlight=False)
            return
        result = RunResult(
            ok=found.outcome == "succeeded",
            rc=int(found.about["rc"]),
            phases=found.phases,
            hosts=found.hosts,
            failures=found.failures,
            record=found.folder,
            command=found.command,
            reason=found.reason,
        )
        tell(console, result)


def report(
    run: RunArgument = "last",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the files. [default: the run's record]", show_default=False),
    ] = None,
) -> None:
    """Write a run as a page, JUnit XML and JSON.

    Prints where report.html, junit.xml and report.json are.
    """
    from kubestead.runs.history import alike, runs
    from kubestead.runs.page import write

    with _found(run) as found:
        try:
            written = write(found, alike(found, runs()), output or found.folder)
        except OSError as error:
            typer.echo(f"kubestead: the report cannot be written: {error}", err=True)
            raise typer.Exit(1) from error
        for path in written:
            typer.echo(path)


@contextmanager
def _found(name: str) -> Iterator[Run]:
    from kubestead.runs.history import NoSuchRunError, find

    try:
        found = find(name)
    except NoSuchRunError as error:
        typer.echo(f"kubestead: {error}", err=True)
        raise typer.Exit(2) from error
    yield found


def _listed(recorded: Sequence[Run]) -> Table:
    from kubestead.runs.render import seconds

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("run", "when", "playbook", "cluster", "outcome"):
        table.add_column(column, overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("changed", justify="right")
    length = _distinct([run.id for run in recorded])
    for run in recorded:
        table.add_row(
            run.id[:length],
            _when(run.started),
            escape(run.name),
            escape(run.cluster),
            f"[{STYLES.get(run.outcome, '')}]{run.outcome}[/]" if run.outcome in STYLES else escape(run.outcome),
            seconds(run.seconds),
            str(run.changed),
        )
    return table


def _distinct(names: Sequence[str], least: int = 15) -> int:
    """How many letters tell the names apart; at least those of the time of a run."""
    longest = max(map(len, names))
    return next((size for size in range(least, longest) if len({name[:size] for name in names}) == len(names)), longest)


def _when(moment: str) -> str:
    """A moment in local time, for people."""
    return datetime.fromisoformat(moment).astimezone().strftime("%d %b %H:%M") if moment else ""


def _unfinished(run: Run) -> str:
    return "It is still running." if run.outcome == "running" else "Broken off: the record ends here."


def _show(console: Console, run: Run) -> None:
    from kubestead.runs import report as words
    from kubestead.runs.render import seconds

    def line(name: str, text: str) -> None:
        if text:
            console.print(f"{name:<11}{text}", markup=False, highlight=False, soft_wrap=True)

    line("run", run.id)
    line("playbook", run.playbook + (" (check)" if run.about.get("check") else ""))
    line("cluster", run.cluster)
    line("inventory", run.inventory)
    line("digest", str(run.about.get("inventory_digest") or ""))
    line("started", run.started)
    line("ended", str(run.about.get("ended") or ""))
    line("outcome", run.outcome)
    line("reason", run.reason)
    line("time", seconds(run.seconds))
    line("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items() if version))
    line("command", run.command)
    line("record", str(run.folder))
    for table in (_phases(run), _hosts(run), _tasks(run)):
        if table.row_count:
            console.print()
            console.print(table)
    words.print_failures(console, run.failures)


def _table(title: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _phases(run: Run) -> Table:
    from kubestead.runs.render import seconds

    table = _table("phase", "time", "changed")
    for phase in run.phases:
        table.add_row(escape(phase.name), seconds(phase.seconds), str(phase.changed))
    return table


def _hosts(run: Run) -> Table:
    from kubestead.runs.render import seconds

    table = _table("host", "time", "ok", "changed", "failed", "skipped")
    for name, host in run.hosts.items():
        took = seconds(sum(run.host_seconds[name].values()))
        bad = host.failed + host.unreachable
        table.add_row(escape(name), took, *map(str, (host.ok, host.changed, bad, host.skipped)))
    return table


def _tasks(run: Run) -> Table:
    from kubestead.runs.render import seconds

    table = _table("slowest tasks", "phase", "time", "changed")
    for task in run.tasks[:SLOWEST]:
        table.add_row(escape(task.task), escape(task.phase), seconds(task.seconds), str(task.changed))
    return table
