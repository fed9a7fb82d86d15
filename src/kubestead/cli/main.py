"""The ``kubestead`` command: gathers the sub-commands."""

from __future__ import annotations

from importlib.metadata import version as distribution_version

import typer

app = typer.Typer(name="kubestead", no_args_is_help=True, help="Kubernetes clusters with kubeadm, driven by Ansible.")


@app.callback()
def main() -> None:
    """Kubernetes clusters with kubeadm, driven by Ansible."""


@app.command()
def version() -> None:
    """Prints the version of Kubestead."""
    typer.echo(distribution_version("kubestead"))
