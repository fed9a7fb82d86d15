"""``kubestead validate``: every mistake of an inventory in one list."""

from __future__ import annotations

import typer

from kubestead.cli.options import InventoryOption, JsonOption, RunOptions
from kubestead.cli.running import conclude, explained, run


def validate(context: typer.Context, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Find every mistake of an inventory.

    No host is contacted. Ends with 0 where there is no mistake, else with 1.
    """
    with explained():
        options = RunOptions.given(context, inventory, as_json=as_json)
        raise conclude(run("validate", options), options)
