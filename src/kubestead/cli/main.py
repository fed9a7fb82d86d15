"""The ``kubestead`` command: gathers the sub-commands."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from kubestead.cli import certs, etcd, lab, mirror, node, runs
from kubestead.cli.cluster import apply, plan, reset, smoke
from kubestead.cli.conformance import conformance
from kubestead.cli.init import init
from kubestead.cli.kubeconfig import kubeconfig
from kubestead.cli.options import (
    InventoryOption,
    LimitOption,
    PassThrough,
    PassThroughPlan,
    RunOptions,
    StartAtOption,
)
from kubestead.cli.rebuild import rebuild
from kubestead.cli.running import explained
from kubestead.cli.schema import schema
from kubestead.cli.status import status
from kubestead.cli.upgrade import upgrade
from kubestead.cli.validate import validate

app = typer.Typer(
    name="kubestead",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Kubernetes clusters with kubeadm, driven by Ansible.",
)
if "_KUBESTEAD_COMPLETE" in os.environ:
    with suppress(ImportError):
        from typer import _completion_classes

        # Our help has no markup, and loading what takes it away is a quarter of what a completion takes.
        _completion_classes._sanitize_help_text = lambda text: text
app.command()(init)
app.command(cls=PassThrough)(validate)
app.command(cls=PassThroughPlan)(plan)
app.command(cls=PassThrough)(apply)
app.command(cls=PassThrough)(status)
app.command(cls=PassThrough)(smoke)
app.command(cls=PassThrough)(conformance)
app.command(cls=PassThrough)(kubeconfig)
app.command(cls=PassThrough)(upgrade)
app.command(cls=PassThrough)(reset)
app.command(cls=PassThrough)(rebuild)
app.add_typer(certs.app, name="certs")
app.add_typer(etcd.app, name="etcd")
app.add_typer(node.app, name="node")
app.add_typer(runs.app, name="runs")
app.command()(runs.report)
app.add_typer(lab.app, name="lab")
app.add_typer(mirror.app, name="mirror")
app.command()(schema)


@app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    playbook: Annotated[
        str, typer.Argument(help="A playbook of the collection, such as site or reset, or the path of your own.")
    ],
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    start_at: StartAtOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what would change.")] = False,
) -> None:
    """Run any playbook, with progress and explanations.

    What is unknown here is handed to ansible-playbook.
    """
    from kubestead.runs import run_playbook
    from kubestead.runs.playbooks import questions

    with explained():
        options = RunOptions.given(context, inventory, limit=limit, start_at=start_at)
        answers = {
            name: typer.prompt(prompt)
            for name, prompt in questions(playbook).items()
            if sys.stdin.isatty() and not any(f"{name}=" in word for word in context.args)
        }
        result = run_playbook(
            playbook,
            options.inventory,
            limit=options.limit,
            start_at=options.start_at,
            check=check,
            extra_vars=answers,
            passthrough=options.passthrough,
        )
    raise typer.Exit(result.rc)


@app.command()
def version() -> None:
    """Print the version of Kubestead."""
    from importlib.metadata import version as distribution_version

    typer.echo(distribution_version("kubestead"))
