"""``kubestead schema``: what editors complete ``cluster.yml`` by."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON schema of cluster.yml, for editors."""
    from kubestead.runs.playbooks import collection_root
    from kubestead.specification import load_cluster, render_schema

    typer.echo(render_schema(load_cluster(collection_root())), nl=False)
