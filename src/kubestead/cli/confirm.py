"""The cluster's name as the confirmation of what cannot be taken back."""

from __future__ import annotations

import sys

import typer

from kubestead.cli.options import RunOptions
from kubestead.cli.running import FAILED, USAGE, refused


def confirmation(options: RunOptions, variable: str, verb: str, deed: str, *, yes: bool) -> dict[str, str]:
    """The variable that confirms, with the cluster's name as the user typed it or as --yes takes it from the inventory.

    Empty where the options for ansible-playbook have it already. The deed says what happens, with ``{}`` for the cluster.
    """
    from kubestead.runs.variables import check_limit, read

    if any(f"{variable}=" in word for word in options.passthrough):
        return {}
    check_limit(options.inventory, options.limit, options.passthrough)
    name = str(read(options.inventory, options.passthrough)["cluster_name"])
    known = "{{" not in name  # only the playbook can tell what a template becomes
    if yes and known:
        return {variable: name}
    hint = f"type the same with --yes, or with: -- -e {variable}={name if known else 'NAME'}"
    if yes:
        raise refused(
            f"the cluster's name is made by a template, {name}. To {verb} it {hint.partition('or ')[2]}", USAGE
        )
    cluster = f"the cluster {name}" if known else "the cluster"
    what = cluster if options.limit is None else f"{options.limit} of {cluster}"
    if not sys.stdin.isatty():
        raise refused(
            f"a {verb} {deed.format(what)}, and there is no terminal to ask at. If that is what you want, {hint}", USAGE
        )
    answer = str(typer.prompt(f"This {deed.format(what)}. Type the cluster's name to go on", err=True))
    if known and answer != name:
        raise refused(f"{answer!r} is not the name of this cluster. Nothing was changed.", FAILED)
    return {variable: answer}
