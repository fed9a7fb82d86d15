"""``kubestead etcd``: what the cluster knows, backed up, brought back and looked after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kubestead.cli.confirm import confirmation
from kubestead.cli.options import InventoryOption, JsonOption, PassThrough, RunOptions, YesOption
from kubestead.cli.running import FAILED, STOPPED, conclude, explained, run

app = typer.Typer(no_args_is_help=True, help="etcd: backups, restores, members.")

CONFIRMATION = "etcd_restore_confirm"
ToOption = Annotated[
    Path | None,
    typer.Option("--to", help="Folder for the backups. [default: what etcd_backup_directory says]", show_default=False),
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="The control plane to ask, be it well or not. [default: one that is well]")
]
SnapshotArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A snapshot that backup has made.")]
KIB = 1024


@app.command(cls=PassThrough)
def backup(
    context: typer.Context,
    inventory: InventoryOption = None,
    to: ToOption = None,
    source: FromOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a snapshot, verify it, and bring it here.

    The cluster's authorities and keys come with it. It is all secret: whoever reads it can become the cluster's administrator.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        given = {"etcd_backup_directory": str(to.resolve()) if to else None, "etcd_backup_from": source}
        result = run("etcd_backup", options, extra_vars={name: value for name, value in given.items() if value})
        taken = result.data.get("etcd_backup")
        if taken and not as_json:
            typer.echo(taken["file"])
        raise conclude(result, options)


@app.command(cls=PassThrough)
def restore(
    context: typer.Context,
    snapshot: SnapshotArgument,
    inventory: InventoryOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Set the cluster back to what a snapshot holds.

    What came later is lost. Asks for the cluster's name first. The API is away meanwhile; pods run on.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        deed = "sets {} back to what the snapshot holds, and what came later is lost"
        answer = confirmation(options, CONFIRMATION, "restore", deed, yes=yes)
        variables = {"etcd_restore_snapshot": str(snapshot.resolve()), **answer}
        raise conclude(run("etcd_restore", options, extra_vars=variables), options)


@app.command(cls=PassThrough)
def status(context: typer.Context, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Show the members, their sizes and alarms.

    Ends with 1 where a member is not well, or has raised an alarm.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=True)
        result = run("etcd_status", options)
    if result.rc == STOPPED:
        raise typer.Exit(STOPPED)
    found = result.data.get("etcd") or {}
    members = found.get("members") or []
    problems = _problems(members, found.get("errors") or [])
    if as_json:
        document = {"healthy": not problems, "members": members, "problems": problems, "record": str(result.record)}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(members, problems)
    raise typer.Exit(FAILED if problems else 0)


@app.command(cls=PassThrough)
def defragment(context: typer.Context, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Give the space that etcd does not use back to the disk.

    One member after another, the leader last. Takes back the alarm that etcd is full, where it is not any more.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        result = run("etcd_defragment", options)
        found = result.data.get("etcd")
        if found and not as_json:
            _print(found["members"], [])
            typer.echo(f"{_size(found['freed'])} were given back.")
        raise conclude(result, options)


def _problems(members: Sequence[dict[str, Any]], errors: Sequence[str]) -> list[str]:
    problems = []
    for member in members:
        name = member["name"] or member["id"]
        problems += [f"{name}: {member['error']}"] if member["error"] else []
        problems += [f"{name} has raised the alarm {alarm}" for alarm in member["alarms"]]
        problems += [f"{name} has no vote yet"] if member["learner"] else []
    return problems if members else list(errors) or ["no control plane gave an answer"]


def _print(members: Sequence[dict[str, Any]], problems: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # one line each, for whoever searches in them
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("member", "id", "address", "part", "etcd", "size", "in use", "alarms"):
        table.add_column(
            column, no_wrap=column in ("member", "id"), justify="right" if column in ("size", "in use") else "left"
        )
    for member in members:
        part = "leader" if member["leader"] else "learner" if member["learner"] else "member"
        table.add_row(
            *(member["name"], member["id"], ", ".join(member["addresses"]), part, member["version"]),
            *(_size(member["size"]), _size(member["in_use"]), ", ".join(member["alarms"])),
        )
    if members:
        console.print(table)
    for problem in problems:
        typer.echo(f"- {problem}")


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} GiB"
