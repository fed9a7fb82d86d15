"""``kubestead init``: a first inventory from a list of machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kubestead.cli.options import RunOptions
from kubestead.cli.running import FAILED, USAGE, explained, refused, run

_HOW = "Give at least one control plane, as --control-plane control-plane-1=192.0.2.11"


def init(
    folder: Annotated[Path, typer.Argument(help="The folder that is made for it.", show_default=False)],
    control_plane: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=ADDRESS", help="A control plane; repeat for more. ADDRESS alone gives it a name."),
    ] = None,
    worker: Annotated[
        list[str] | None, typer.Option(metavar="NAME=ADDRESS", help="A machine that runs pods; repeat for more.")
    ] = None,
    load_balancer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ADDRESS",
            help="A load balancer; repeat for more. [default: with --virtual-ip, the control planes]",
        ),
    ] = None,
    virtual_ip: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A free address that leads to whichever control planes run.")
    ] = "",
    user: Annotated[str, typer.Option(help="Whom to log in as by SSH; with any but root, sudo is used.")] = "root",
    name: Annotated[str, typer.Option(help="The cluster's name. [default: the folder's]", show_default=False)] = "",
) -> None:
    """Write an inventory from a list of machines.

    They are given as options, or asked for where none is given. What was written is checked; nothing is overwritten.
    """
    from kubestead.inventory import NewInventory, NewInventoryError, machines, write
    from kubestead.runs.variables import defaults

    if not (control_plane or worker or load_balancer):
        if not sys.stdin.isatty():
            raise refused(f"which machines? {_HOW}", USAGE)
        control_plane, worker, load_balancer, virtual_ip, user = _asked()
    if not control_plane:
        raise refused(f"there is no control plane. {_HOW}", USAGE)
    try:
        wanted = NewInventory(
            cluster=name or folder.resolve().name,
            user=user,
            control_planes=machines(control_plane, "control-plane"),
            workers=machines(worker or (), "worker"),
            load_balancers=machines(load_balancer or (), "load-balancer"),
            virtual_ip=virtual_ip,
            kubernetes_version=defaults()["cluster_kubernetes_version"],
        )
        for path in write(folder, wanted):
            typer.echo(f"wrote {path}")
    except NewInventoryError as error:
        raise refused(str(error), USAGE) from error
    with explained():
        if not run("validate", RunOptions(inventory=folder)).ok:
            raise refused(f"mend the files in {folder}, then: kubestead validate -i {folder}", FAILED)
    typer.echo(
        f"\nNext:\n  kubestead plan -i {folder}    # what would change\n  kubestead apply -i {folder}   # build the cluster"
    )


def _asked() -> tuple[list[str], list[str], list[str], str, str]:
    """Ask for what makes a cluster; several addresses stand in one line."""
    typer.echo("Machines are given as NAME=ADDRESS or as ADDRESS alone, several with spaces between them.")
    control_planes = _ask("Control planes (one, or three for high availability)")
    workers = _ask("Workers (none: the control planes run pods too)", default="")
    load_balancers: list[str] = []
    virtual_ip = ""
    if len(control_planes) > 1:
        virtual_ip = str(typer.prompt("A free address for all control planes together", default="", show_default=False))
        load_balancers = _ask("Load balancers (none: the control planes)", default="") if virtual_ip else []
    user = str(typer.prompt("User to log in as by SSH", default="root"))
    return control_planes, workers, load_balancers, virtual_ip, user


def _ask(question: str, default: str | None = None) -> list[str]:
    return str(typer.prompt(question, default=default, show_default=False)).split()
