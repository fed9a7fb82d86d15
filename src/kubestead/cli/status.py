"""``kubestead status``: how a cluster is, asked now."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from kubestead.cli.options import InventoryOption, JsonOption, RunOptions
from kubestead.cli.running import FAILED, STOPPED, explained, run

if TYPE_CHECKING:
    from kubestead.runs.status import ClusterStatus


def status(context: typer.Context, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Show how the cluster is now, and what is amiss.

    Nodes, versions, etcd, certificates, the virtual address, add-ons, what differs from the inventory. Ends with 1 where one is amiss.
    """
    from kubestead.runs.status import judge

    with explained():
        options = RunOptions.given(context, inventory, as_json=True)
        result = run("status", options)
    if result.rc == STOPPED:
        raise typer.Exit(STOPPED)
    found = result.data.get("status") or {}
    cluster = judge(found, sorted(set(result.hosts) - set(found)), datetime.now(UTC))
    if as_json:
        document = {"healthy": cluster.healthy, **asdict(cluster), "record": str(result.record)}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(cluster)
    raise typer.Exit(0 if cluster.healthy else FAILED)


def _print(found: ClusterStatus) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # one line each, for whoever searches in them
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("node", "part", "state", "Kubernetes", "etcd", "certificates"):
        table.add_column(column, no_wrap=column == "node", overflow="fold")
    for row in found.nodes:
        style = "green" if row.state == "Ready" else "red" if not row.state.startswith("Ready") else "yellow"
        until = row.certificates_expire[:10]
        table.add_row(row.name, row.part, f"[{style}]{row.state}[/]", row.version, row.etcd, until)
    if found.nodes:
        console.print(table)
    if found.virtual_ip:
        typer.echo(f"virtual address {found.virtual_ip}: {' and '.join(found.virtual_ip_holders) or 'held by nobody'}")
    if found.addons:
        told = (f"{one.name} {one.version}".strip() + (" ready" if one.ready else " not ready") for one in found.addons)
        typer.echo(f"add-ons: {', '.join(told)}")
    typer.echo("\nNothing is amiss." if found.healthy else f"\nAmiss ({len(found.problems)}):")
    for problem in found.problems:
        typer.echo(f"- {problem}")
