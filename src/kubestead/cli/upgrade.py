"""``kubestead upgrade``: another release of Kubernetes, node by node."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from kubestead.cli.options import InventoryOption, JsonOption, LimitOption, RunOptions
from kubestead.cli.running import conclude, explained, run

VARIABLE = "cluster_kubernetes_version"
_BATCH = re.compile(r"[1-9][0-9]*|([1-9][0-9]?|100)%")  # as playbooks/upgrade.yml has it


def _batch(value: str | None) -> str | None:
    if value is not None and not _BATCH.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is no number of workers: 1 or more, or a share from 1% to 100%.")
    return value


def upgrade(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(
            help="The release, as 1.37. [default: cluster_kubernetes_version, or this Kubestead's default]",
            show_default=False,
        ),
    ] = None,
    inventory: InventoryOption = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            callback=_batch,
            help="How many workers at once, or what share of them, as 25%. [default: 1]",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a running cluster to another release of Kubernetes.

    Control planes one after another, then the workers, each drained meanwhile. Stops at the first that does not come back healthy, and goes
    on from there when run again.
    """
    with explained():
        options = RunOptions.given(context, inventory, limit=limit, as_json=as_json)
        wanted = {VARIABLE: version, "upgrade_batch": batch}
        result = run(
            "upgrade", options, extra_vars={name: value for name, value in wanted.items() if value is not None}
        )
        if version is not None:
            _remind(version, options, begun=bool(result.changed))
        raise conclude(result, options)


def _remind(version: str, options: RunOptions, *, begun: bool) -> None:
    """Say that the inventory names another release than the cluster now has, which `apply` would refuse."""
    from kubestead.runs.variables import read

    said = str(read(options.inventory, options.passthrough)[VARIABLE])
    # A minor, or its patch release in the catalogue, mean the same; what a template becomes only Ansible knows.
    differs = said.split(".")[:2] != version.split(".")[:2] and "{{" not in said
    if begun and differs:
        typer.echo(
            f'\nThe inventory {options.inventory} says {VARIABLE}: "{said}". Write {VARIABLE}: "{version}" into it now: it is what every '
            "later run goes by, and `kubestead apply` refuses to run while it names another release.",
            err=True,
        )
