"""``kubestead validate``: every mistake of an inventory in one list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def validate(
    inventory: Annotated[Path, typer.Option("--inventory", "-i", exists=True, help="The inventory: a file or folder.")],
) -> None:
    """Find every mistake of an inventory without contacting a host. Ends with 0 where there is none, else with 1."""
    from kubestead.runs import run_playbook

    raise typer.Exit(0 if run_playbook("validate", inventory).ok else 1)
