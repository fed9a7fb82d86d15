"""``kubestead kubeconfig``: the way into a cluster, printed or merged among others."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from kubestead.cli.options import InventoryOption, JsonOption, RunOptions
from kubestead.cli.running import FAILED, USAGE, exit_code, explained, refused


def kubeconfig(
    context: typer.Context,
    inventory: InventoryOption = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge it into ~/.kube/config, or the first file of $KUBECONFIG.")
    ] = False,
    use: Annotated[
        bool, typer.Option("--use", help="With --merge: have kubectl use this cluster from now on.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the cluster's admin kubeconfig, or merge it.

    Merged, the cluster, its context and its user are named after the cluster, so that several live side by side.
    """
    from kubestead.kubeconfig import KubeconfigError, default_path, dump, merge_into, parse, renamed
    from kubestead.runs.variables import read

    if use and not merge:
        raise refused("--use goes with --merge", USAGE)
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        variables = read(options.inventory, options.passthrough)
        try:
            config = parse(_found(options, str(variables["cluster_kubeconfig_path"])), "the cluster's kubeconfig")
            if not merge:
                _print(config, dump(config), as_json=as_json)
                return
            name = _name(str(variables["cluster_name"]), config)
            path = default_path()
            merge_into(path, renamed(config, name), use=use)
        except KubeconfigError as error:
            raise refused(str(error), FAILED) from error
    told = {"file": str(path), "context": name, "used": use}
    _print(told, f"{path}: the cluster {name}. {_next(name, use=use)}\n", as_json=as_json)


def _found(options: RunOptions, named: str) -> str:
    """The kubeconfig that a run has left on this machine, else a control plane's."""
    path = Path(named).expanduser()
    if named and "{{" not in named and path.is_file():
        return path.read_text(encoding="utf-8")
    return _fetched(options)


def _fetched(options: RunOptions) -> str:
    from rich.console import Console

    from kubestead.runs import run_playbook

    with tempfile.TemporaryDirectory(prefix="kubestead-") as folder:
        path = Path(folder) / "kubeconfig"
        result = run_playbook(
            "kubeconfig",
            options.inventory,
            extra_vars={"kubeconfig_path": str(path)},
            shown_vars={"kubeconfig_path": "kubeconfig"},  # the file is gone before the line could be typed
            passthrough=options.passthrough,
            console=Console(stderr=True),
        )
        if not path.is_file():  # one control plane that does not answer is no harm
            raise typer.Exit(exit_code(result) or FAILED)
        return path.read_text(encoding="utf-8")


def _name(wanted: str, config: dict[str, Any]) -> str:
    """The cluster's name; kubeadm has put it into the kubeconfig as well, where a template hides it."""
    return wanted if "{{" not in wanted else str(config["clusters"][0]["name"])


def _next(name: str, *, use: bool) -> str:
    return "Next: kubectl get nodes" if use else f"Next: kubectl --context {name} get nodes"


def _print(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    import json

    typer.echo(json.dumps(document, indent=2) if as_json else text, nl=as_json)
