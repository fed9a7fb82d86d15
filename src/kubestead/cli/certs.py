"""``kubestead certs``: the certificates of a cluster, when they expire, and new ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kubestead.cli.options import InventoryOption, JsonOption, LimitOption, PassThrough, RunOptions
from kubestead.cli.running import FAILED, STOPPED, conclude, explained, run

if TYPE_CHECKING:
    from kubestead.runs.certificates import CertificateStatus

app = typer.Typer(no_args_is_help=True, help="The certificates of a cluster.")

WithinOption = Annotated[
    int, typer.Option("--within", min=0, metavar="DAYS", help="Complain of what expires in fewer days than this.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Renew them however long they are still good.")]


@app.command(cls=PassThrough)
def status(
    context: typer.Context,
    inventory: InventoryOption = None,
    within: WithinOption = 30,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show when the certificates of every node expire, and what is amiss.

    For monitoring: ends with 0 where nothing is, with 1 where one expires soon, is not the one that is served, or cannot be read.
    """
    from kubestead.runs.certificates import judge

    with explained():
        options = RunOptions.given(context, inventory, limit=limit, as_json=True)
        result = run("certificates", options)
    if result.rc == STOPPED:
        raise typer.Exit(STOPPED)
    found = result.data.get("certificates") or {}
    certificates = judge(found, sorted(set(result.hosts) - set(found)), within)
    if as_json:
        document = {"healthy": certificates.healthy, **asdict(certificates), "record": str(result.record)}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(certificates)
    raise typer.Exit(0 if certificates.healthy else FAILED)


@app.command(cls=PassThrough)
def renew(
    context: typer.Context,
    inventory: InventoryOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Renew the certificates of the control planes, one after another, where they are about to expire.

    Restarts what reads them, makes sure that the new ones are served, and renews the kubeconfigs of the administrators.
    """
    with explained():
        options = RunOptions.given(context, inventory, limit=limit, as_json=as_json)
        extra_vars = {"control_plane_renew_force": True} if force else {}
        raise conclude(run("renew_certificates", options, extra_vars=extra_vars), options)


def _print(found: CertificateStatus) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # one line each, for whoever searches in them
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("host", "certificate", "expires", "days", "renewed by"):
        table.add_column(
            column, no_wrap=column == "host", overflow="fold", justify="right" if column == "days" else "left"
        )
    for row in found.certificates:
        table.add_row(row.host, row.name, row.not_after[:10], "" if row.days is None else str(row.days), row.renewed_by)
    if found.certificates:
        console.print(table)
    first = found.first
    if first:
        typer.echo(f"\nThe first to expire is {first.name} on {first.host}, in {first.days} days.")
    typer.echo("\nNothing is amiss." if found.healthy else f"\nAmiss ({len(found.problems)}):")
    for problem in found.problems:
        typer.echo(f"- {problem}")
