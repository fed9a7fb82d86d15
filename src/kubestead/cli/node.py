"""``kubestead node``: machines that join a running cluster, and machines that leave it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubestead.cli.options import InventoryOption, JsonOption, PassThrough, RunOptions, YesOption
from kubestead.cli.running import FAILED, USAGE, conclude, explained, refused, run

app = typer.Typer(no_args_is_help=True, help="Add nodes to a running cluster, and remove them.")


@app.command(cls=PassThrough)
def add(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Hosts of the inventory. [default: all that are new]")
    ] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the hosts of the inventory that are not in the cluster yet.

    Only the new machines are touched; where a control plane comes, the load balancers and the hosts files too.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        raise conclude(run("add", options, extra_vars={"add_nodes": names} if names else {}), options)


@app.command(cls=PassThrough)
def remove(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="The nodes that are to leave.")],
    inventory: InventoryOption = None,
    dead: Annotated[bool, typer.Option("--dead", help="Machines that do not answer are off for good.")] = False,
    drain_timeout: Annotated[
        int | None,
        typer.Option("--drain-timeout", metavar="SECONDS", min=1, help="How long pods may take. [default: 300]"),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Drain nodes, take them out of the cluster, and clean the machines.

    Asks first. What cannot be done safely is refused before anything is changed.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        if not yes:
            _ask(names)
        extra_vars: dict[str, object] = {"remove_nodes": names}
        if dead:
            extra_vars["remove_dead"] = True
        if drain_timeout is not None:
            extra_vars["remove_drain_timeout"] = drain_timeout
        raise conclude(run("remove", options, extra_vars=extra_vars), options)


def _ask(names: list[str]) -> None:
    what = f"this takes {', '.join(names)} out of the cluster, with Kubernetes and all its data on the machine"
    if not sys.stdin.isatty():
        raise refused(f"{what}, and there is no terminal to ask at. If that is what you want, add --yes", USAGE)
    if not typer.confirm(f"{what[0].upper()}{what[1:]}. Go on?", err=True):
        raise refused("nothing was changed.", FAILED)
