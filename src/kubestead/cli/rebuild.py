"""``kubestead rebuild``: a cluster taken off and built anew, by day or unattended by night."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubestead.cli.cluster import CONFIRMATION
from kubestead.cli.confirm import confirmation
from kubestead.cli.conformance import Suite, keep, leave_nothing, results_folder
from kubestead.cli.options import InventoryOption, JsonOption, RunOptions, YesOption
from kubestead.cli.running import LOCKED, USAGE, as_document, exit_code, explained, refused, run, seconds_of

if TYPE_CHECKING:
    from kubestead.runs import RunResult
    from kubestead.runs.history import Run

TimeLimitOption = Annotated[
    str | None,
    typer.Option("--time-limit", metavar="TIME", help="Stop as Ctrl-C does when it takes longer, such as 90m or 2h."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FOLDER", show_default=False, help="Folder for the report. [default: the record]"),
]
ConformanceOption = Annotated[
    Suite | None,
    typer.Option("--conformance", show_default=False, help="Also run upstream's conformance tests: some, or all."),
]
NotifyOption = Annotated[
    str | None,
    typer.Option("--notify", metavar="COMMAND", help="Run this at the end, with the outcome in its environment."),
]


def rebuild(
    context: typer.Context,
    inventory: InventoryOption = None,
    yes: YesOption = False,
    time_limit: TimeLimitOption = None,
    conformance: ConformanceOption = None,
    report: ReportOption = None,
    notify: NotifyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the cluster off, build it anew, and test it.

    Asks for the cluster's name first. Where validation or preflight fails, the old cluster stays as it is.
    """
    from kubestead.runs.terminal import outlive_terminal

    seconds = seconds_of(time_limit)
    _refuse_command(notify)
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
    with outlive_terminal():
        try:
            with explained():
                answer = confirmation(options, CONFIRMATION, "rebuild", "removes {} and all its data", yes=yes)
                result = _run(options, answer, conformance, report, seconds)
        except typer.Exit as end:
            if end.exit_code != USAGE and end.__cause__:
                _tell_of_refusal(notify, options, end)
            raise
        raise _conclude(result, options, report, notify)


def _run(
    options: RunOptions, answer: dict[str, str], suite: Suite | None, report: Path | None, seconds: float | None
) -> RunResult:
    if suite is None:
        return run("rebuild", options, extra_vars=answer, time_limit=seconds)
    shown = {**answer, "rebuild_conformance": suite}
    with results_folder(None) as folder:
        variables = {**shown, "conformance_folder": str(folder)}
        result = run("rebuild", options, extra_vars=variables, shown_vars=shown, time_limit=seconds)
        if kept := keep(result, folder, (report or result.record) / "conformance"):
            typer.echo(f"Conformance: {kept}", err=options.as_json)
        leave_nothing(result, options)
    return result


def _refuse_command(notify: str | None) -> None:
    """Found out now, and not when a cluster has been rebuilt and nobody is told."""
    from kubestead.runs.notify import NotifyError, words_of

    try:
        if notify is not None:
            words_of(notify)
    except NotifyError as error:
        raise refused(f"--notify: {error}", USAGE) from error


def _conclude(result: RunResult, options: RunOptions, report: Path | None, notify: str | None) -> typer.Exit:
    """Say what the cluster has come to, write the report, tell who wants to know; gives the end to raise."""
    from kubestead.runs.history import Run
    from kubestead.runs.rebuild import standing
    from kubestead.runs.run import outcome

    state = standing(result.phases, ok=result.ok)
    typer.echo(state, err=options.as_json)
    recorded = Run.load(result.record)
    written = _write_report(recorded, report, options)
    more = {
        "outcome": outcome(result.rc),
        "cluster": recorded.cluster,
        "inventory": str(options.inventory.resolve()),
        "reason": " ".join([_reason(result), state]).strip(),
        "report": {path.suffix.lstrip("."): str(path) for path in written},
    }
    document = {**as_document(result), **more}
    _notify(notify, document)
    if options.as_json:
        typer.echo(json.dumps(document, indent=2))
    return typer.Exit(exit_code(result))


def _reason(result: RunResult) -> str:
    """Why it did not go well, in one line."""
    if result.reason or not result.failures:
        return result.reason
    first = result.failures[0]
    others = f" (and {len(result.failures) - 1} more)" if len(result.failures) > 1 else ""
    head, *rest = first.message.splitlines()
    # Validation and preflight give a list, whose first line only counts what is in it.
    entry = next((line.strip() for line in rest if line.lstrip().startswith(("- ", "error "))), "")
    told = " ".join(part for part in (head, entry.removeprefix("- ")) if part)
    return f"{first.host}, phase {first.phase}, {first.task}: {told}{others}"


def _write_report(recorded: Run, folder: Path | None, options: RunOptions) -> list[Path]:
    from kubestead.runs.history import alike, runs
    from kubestead.runs.page import write

    known = {run.id: run for run in (*runs(), recorded)}
    try:
        written = write(recorded, alike(recorded, known.values()), folder or recorded.folder)
    except OSError as error:
        typer.echo(f"The report cannot be written: {error}", err=True)
        return []
    typer.echo(f"Report: {written[0]}", err=options.as_json)
    return written


def _tell_of_refusal(notify: str | None, options: RunOptions, end: typer.Exit) -> None:
    """Tell of a rebuild that did not begin: another run is going on, or the inventory cannot be read."""
    from kubestead.runs.inventory import known

    document: dict[str, Any] = {
        "ok": False,
        "rc": end.exit_code,
        "outcome": "refused" if end.exit_code == LOCKED else "failed",
        "cluster": known(options.inventory)["cluster"] or options.inventory.resolve().name,
        "inventory": str(options.inventory.resolve()),
        "reason": str(end.__cause__ or ""),
        "report": {},
    }
    _notify(notify, document)
    if options.as_json:
        typer.echo(json.dumps(document, indent=2))


def _notify(command: str | None, document: Mapping[str, Any]) -> None:
    from kubestead.runs.notify import notify

    if command is None:
        return
    variables = {name: document.get(name) for name in ("outcome", "cluster", "inventory", "reason", "rc", "record")}
    reports = {"report": document["report"].get("html"), "junit": document["report"].get("xml")}
    if why := notify(command, document, {**variables, **reports}):
        typer.echo(f"The notification failed: {why}", err=True)
