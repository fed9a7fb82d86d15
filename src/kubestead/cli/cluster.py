"""The verbs of a cluster's life: ``plan``, ``apply``, ``smoke``, ``reset``."""

from __future__ import annotations

import sys

import typer

from kubestead.cli.options import (
    InventoryOption,
    JsonOption,
    LimitOption,
    RunOptions,
    StartAtOption,
    TagsOption,
    YesOption,
)
from kubestead.cli.running import FAILED, USAGE, conclude, explained, refused, run

WOULD_CHANGE = 2
CONFIRMATION = "reset_confirm"


def apply(
    context: typer.Context,
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    tags: TagsOption = None,
    start_at: StartAtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the cluster, or bring it to what the inventory says.

    Run it again after a change of the inventory, or to finish an interrupted run: what is done stays done.
    """
    with explained():
        options = RunOptions.given(context, inventory, limit=limit, tags=tags, start_at=start_at, as_json=as_json)
        raise conclude(run("site", options), options)


def plan(
    context: typer.Context,
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    tags: TagsOption = None,
    start_at: StartAtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what apply would change on each host.

    Nothing is changed. Ends with 0 where there is nothing to do, with 2 where something would change, with 1 where that cannot be told.
    """
    from kubestead.runs.plan import Plan

    with explained(usage=FAILED):
        options = RunOptions.given(context, inventory, limit=limit, tags=tags, start_at=start_at, as_json=as_json)
        found = Plan()
        result = run("site", options, check=True, watch=found.feed)
        hosts = {name: phrases for name, phrases in found.hosts.items() if phrases or name != "localhost"}
        if not as_json:
            _print_plan(hosts, complete=result.ok)
        end = conclude(result, options, changes=found.changes, plan=hosts)
        raise typer.Exit(WOULD_CHANGE) if result.ok and found.changes else end


def smoke(context: typer.Context, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Test a running cluster, and clean up afterwards.

    Pods on every node, names, services, exec, logs and port-forward are tried.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        raise conclude(run("smoke", options), options)


def reset(
    context: typer.Context,
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the cluster and all its data off the machines.

    Asks for the cluster's name first. With --limit, only those machines leave the cluster.
    """
    with explained():
        options = RunOptions.given(context, inventory, limit=limit, as_json=as_json)
        answered = any(f"{CONFIRMATION}=" in word for word in options.passthrough)
        answer = {} if answered else {CONFIRMATION: confirmed(options, yes=yes)}
        raise conclude(run("reset", options, extra_vars=answer), options)


def _print_plan(hosts: dict[str, list[str]], *, complete: bool) -> None:
    typer.echo("")
    for name, phrases in hosts.items():
        if phrases:
            typer.echo("\n  ".join([f"{name}:", *phrases]))
        elif complete:
            typer.echo(f"{name}: no change")
    if not complete:
        typer.echo("The plan is not complete, since the run did not come to its end.")
        return
    changing = sum(1 for phrases in hosts.values() if phrases)
    typer.echo(f"\n{changing} of {len(hosts)} hosts would change; nothing was changed now.")


def confirmed(options: RunOptions, *, yes: bool, verb: str = "reset") -> str:
    """The name of the cluster, as the user typed it or as --yes takes it from the inventory."""
    from kubestead.runs.variables import read

    name = str(read(options.inventory, options.passthrough)["cluster_name"])
    known = "{{" not in name  # only the playbook can tell what a template becomes
    if yes and known:
        return name
    hint = f"type the same with --yes, or with: -- -e {CONFIRMATION}={name if known else 'NAME'}"
    if yes:
        raise refused(
            f"the cluster's name is made by a template, {name}. To {verb} it {hint.partition('or ')[2]}", USAGE
        )
    if not sys.stdin.isatty():
        raise refused(
            f"a {verb} removes {name if known else 'the cluster'} and all its data, and there is no terminal to ask at. "
            f"If that is what you want, {hint}",
            USAGE,
        )
    what = f"the cluster {name}" if options.limit is None else f"{options.limit} of the cluster {name}"
    answer = str(typer.prompt(f"This removes {what} and all its data. Type the cluster's name to go on", err=True))
    if known and answer != name:
        raise refused(f"{answer!r} is not the name of this cluster. Nothing was changed.", FAILED)
    return answer
