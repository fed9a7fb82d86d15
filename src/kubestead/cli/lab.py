"""``kubestead lab``: a real cluster on this machine, whose nodes are containers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from kubestead.lab import Lab, Status
    from kubestead.lab.limits import Finding
    from kubestead.mirror.progress import Reporter

app = typer.Typer(name="lab", no_args_is_help=True, help="A real cluster on this machine, whose nodes are containers.")

InventoryOption = Annotated[
    Path | None,
    typer.Option(
        "--inventory", "-i", help="Inventory that describes the lab. [default: inventories/lab]", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
STYLES = {"fine": "green", "handled": "cyan", "warning": "yellow", "blocking": "red"}


@app.command()
def up(
    inventory: InventoryOption = None,
    control_planes: Annotated[
        int | None, typer.Option(help="Number of control planes, instead of the inventory's.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Number of workers, instead of the inventory's.")] = None,
    kubernetes: Annotated[
        str, typer.Option(help="Kubernetes minor or patch release, as 1.36.", show_default=False)
    ] = "",
    cluster: Annotated[
        bool, typer.Option("--cluster/--no-cluster", help="Build the cluster, or only boot nodes and mirror.")
    ] = True,
    resolver: Annotated[
        list[str] | None, typer.Option(help="Name server for the nodes, instead of this machine's; may be repeated.")
    ] = None,
) -> None:
    """Boots the nodes, builds and serves the mirror, and runs site.yml. Run it again to finish, mend or grow a lab."""
    from kubestead.lab import Lab, Wish

    console = Console()
    with _explained(console, inventory, left_behind=True):
        wish = Wish(control_planes=control_planes, workers=workers, kubernetes=kubernetes)
        lab = Lab(inventory, wish=wish, resolvers=resolver or (), say=_saying(console))
        lab.up_nodes()
        with _building(console) as progress:
            lab.up_mirror(progress)
        if cluster:
            _build_cluster(console, lab, _place(inventory))
        else:
            _print_status(console, lab.status())


@app.command()
def down(
    inventory: InventoryOption = None,
) -> None:
    """Removes nodes, network, mirror server and state of a lab, and the engine if the lab started it. The cache stays."""
    from kubestead.lab import Lab

    console = Console()
    with _explained(console, inventory):
        lab = Lab(inventory, say=_saying(console))
        removed = lab.down()
        for thing in removed:
            console.print(f"removed {escape(thing)}", highlight=False)
        if not removed:
            console.print(f"There is nothing of the lab {lab.name} to remove.", highlight=False)


@app.command()
def status(inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Shows nodes, mirror and engine; ends with code 1 unless all of them run."""
    from kubestead.lab import Lab

    console = Console()
    with _explained(console, inventory):
        found = Lab(inventory).status()
        if as_json:
            typer.echo(json.dumps({**asdict(found), "complete": found.complete}, indent=2))
        else:
            _print_status(console, found)
        if not found.complete:
            raise typer.Exit(1)


@app.command()
def doctor(inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Shows what was found out about this machine, what follows from it, and what the lab does about it."""
    from kubestead.lab import Lab
    from kubestead.lab.limits import Level

    console = Console()
    with _explained(console, inventory):
        findings = Lab(inventory).doctor()
        if as_json:
            typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            _print_findings(console, findings)
        if any(finding.level == Level.BLOCKING for finding in findings):
            raise typer.Exit(1)


def _place(inventory: Path | None) -> str:
    """How the inventory is to be named again, on a line for the user to type."""
    return f" -i {inventory}" if inventory else ""


def _build_cluster(console: Console, lab: Lab, place: str) -> None:
    from kubestead.cli.running import explained
    from kubestead.lab.plan import WORKERS
    from kubestead.runs import run_playbook

    with explained():
        result = run_playbook("site", lab.plan.inventory, console=console, records=lab.plan.folder / "runs")
    if not result.ok:
        raise typer.Exit(result.rc)
    _print_status(console, lab.status())
    kubeconfig = lab.plan.folder / "kubeconfig"
    node = lab.plan.nodes[0].name
    console.print("\nNext:", style="bold")
    for line in (
        f"export KUBECONFIG={kubeconfig}   # then kubectl, helm, … from here",
        f"docker exec -it {lab.name}-{node} kubectl get nodes   # or on a node itself",
        f"kubestead lab up{place} --workers {len(lab.plan.group(WORKERS)) + 1}   # grow it",
        f"kubestead lab down{place}   # remove it",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _print_status(console: Console, status: Status) -> None:
    table = Table("node", "address", "group", "state", box=None, pad_edge=False, header_style="bold")
    for node in status.nodes:
        style = "green" if node.state == "running" else "red"
        table.add_row(node.name, node.address, node.group, f"[{style}]{node.state}[/]")
    console.print(table)
    ours = " (started by the lab)" if status.engine_ours else ""
    console.print(f"engine      {f'Docker {status.engine}{ours}' if status.engine else 'none runs'}", highlight=False)
    console.print(f"mirror      {status.mirror_url or 'none'} ({status.mirror})", highlight=False)
    console.print(f"inventory   {status.inventory}", highlight=False, soft_wrap=True)
    if status.kubeconfig:
        console.print(f"kubeconfig  {status.kubeconfig}", highlight=False, soft_wrap=True)


def _print_findings(console: Console, findings: list[Finding]) -> None:
    for finding in findings:
        style = STYLES[finding.level]
        console.print(
            f"[{style}]{finding.level:<8}[/] [bold]{finding.name}[/]  {escape(finding.found)}", highlight=False
        )
        for text in (finding.effect, finding.remedy and f"→ {finding.remedy}"):
            if text:
                console.print(f"         {escape(text)}", highlight=False, soft_wrap=not console.is_terminal)


def _saying(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"[cyan]lab[/]  {escape(text)}", highlight=False, soft_wrap=True)


@contextmanager
def _building(console: Console) -> Iterator[Reporter]:
    from kubestead.mirror.progress import Bar, Plain

    if console.is_terminal and not os.environ.get("CI"):
        with Bar(console) as bar:
            yield bar
    else:
        yield Plain(console)


@contextmanager
def _explained(console: Console, inventory: Path | None, *, left_behind: bool = False) -> Iterator[None]:
    """Turn what went wrong into one message, without a traceback, and tell what an unfinished ``up`` leaves."""
    from kubestead.lab import LabError

    place = _place(inventory)
    hint = f"What is there stays: `kubestead lab up{place}` goes on from here, `kubestead lab down{place}` removes it."
    try:
        yield
    except LabError as error:
        Console(stderr=True).print(f"[red]Error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        if left_behind:
            Console(stderr=True).print(hint, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        if left_behind:
            Console(stderr=True).print(f"\nStopped. {hint}", highlight=False, soft_wrap=True)
        raise typer.Exit(130) from error
