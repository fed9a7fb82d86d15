"""``kubestead conformance``: upstream's own tests of whether a cluster is Kubernetes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kubestead.cli.options import InventoryOption, JsonOption, RunOptions
from kubestead.cli.running import STOPPED, TIMED_OUT, USAGE, conclude, explained, refused, run, seconds_of

if TYPE_CHECKING:
    from kubestead.runs import RunResult

Suite = Literal["quick", "certified"]

QuickOption = Annotated[bool, typer.Option("--quick", help="About thirty specs, in minutes. The default.")]
CertifiedOption = Annotated[
    bool, typer.Option("--certified", help="All conformance specs, as a submission to the CNCF needs them; hours.")
]
FocusOption = Annotated[
    str | None,
    typer.Option("--focus", metavar="REGEX", help="The conformance specs whose names fit, as 'sig-network.*DNS'."),
]
CleanOption = Annotated[
    bool, typer.Option("--clean", help="Run nothing: only take away what a run that was killed left in the cluster.")
]
TimeLimitOption = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="TIME",
        show_default=False,
        help="End the suite after this, as 20m or 3h. [default: 30m, 4h for more than the quick ones]",
    ),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="FOLDER", show_default=False, help="Folder for the results. [default: the record]"
    ),
]


def conformance(
    context: typer.Context,
    inventory: InventoryOption = None,
    quick: QuickOption = False,
    certified: CertifiedOption = False,
    focus: FocusOption = None,
    clean: CleanOption = False,
    time_limit: TimeLimitOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test a running cluster by upstream's conformance suite.

    Refuses a cluster that is not well. Shows each failure with its message, keeps JUnit XML and log, and leaves nothing in the cluster.
    """
    if sum((quick, certified, focus is not None, clean)) > 1:
        raise refused("give one of --quick, --certified, --focus and --clean.", USAGE)
    seconds = seconds_of(time_limit)
    variables: dict[str, Any] = {} if seconds is None else {"conformance_timeout": int(seconds)}
    if focus is not None:
        variables["conformance_focus"] = _expression(focus)
    elif clean:
        variables["conformance_clean"] = True
    else:
        variables["conformance_suite"] = "certified" if certified else "quick"
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        with results_folder(results) as folder:
            result = run(
                "conformance",
                options,
                extra_vars={**variables, "conformance_folder": str(folder)},
                shown_vars={**variables, **({"conformance_folder": str(results)} if results else {})},
            )
            kept = keep(result, folder, results or result.record / "conformance")
            leave_nothing(result, options)
    if kept and not clean:
        typer.echo(f"Results: {kept}", err=as_json)
    raise conclude(result, options, results=str(kept) if kept else None)


@contextmanager
def results_folder(chosen: Path | None) -> Iterator[Path]:
    """Where the playbook puts the suite's files: the folder that the user named, else one that goes again."""
    if chosen:
        yield chosen.resolve()
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="kubestead-") as folder:
        yield Path(folder)


def keep(result: RunResult, folder: Path, place: Path) -> Path | None:
    """Put the suite's files where they stay, and beside them what was found as JSON; tells where, None where there is nothing."""
    from shutil import move

    found = result.data.get("conformance")
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not found and not files:
        return None
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in files if folder != place.resolve() else ():
            move(path, place / path.name)
        if found:
            text = json.dumps({**found, "record": str(result.record)}, indent=2)
            (place / "conformance.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        typer.echo(f"The results cannot be kept in {place}: {error}", err=True)
        return None
    return place


def leave_nothing(result: RunResult, options: RunOptions) -> None:
    """Take the suite away where the run was broken off in it: Ansible had no time to."""
    from kubestead.runs.rebuild import CONFORMANCE

    broken_off = result.rc in (STOPPED, TIMED_OUT)
    if broken_off and result.phases and result.phases[-1].name == CONFORMANCE:
        typer.echo("Taking the conformance suite out of the cluster. Ctrl-C leaves it there.", err=True)
        if not run("conformance", options, extra_vars={"conformance_clean": True}).ok:
            typer.echo("Something of it may still be there: `kubestead conformance --clean` tries again.", err=True)


def _expression(focus: str) -> str:
    try:
        re.compile(focus)
    except re.error as error:
        raise refused(f"--focus: {focus!r} is no regular expression: {error}", USAGE) from error
    if not focus.strip():
        raise refused("--focus: give a part of the specs' names, such as 'sig-network.*DNS'.", USAGE)
    return focus
