"""What the verbs that run playbooks have in common on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

VARIABLE = "KUBESTEAD_INVENTORY"
NO_INVENTORY = f"""\
there is no inventory to work on. Name one in any of three ways:
  kubestead … --inventory FOLDER     on the command line, or -i for short
  export {VARIABLE}=FOLDER  in the environment
  cd FOLDER                          where its hosts.yml is
`kubestead init FOLDER` writes a new one."""


def _phases() -> list[str]:
    from kubestead.runs.progress import PHASES

    return list(PHASES)


InventoryOption = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        "-i",
        exists=True,
        envvar=VARIABLE,
        show_default=False,
        help="The inventory: a file or folder. [default: the current folder, if hosts.yml is in it]",
    ),
]
LimitOption = Annotated[str | None, typer.Option("--limit", "-l", help="Only these hosts or groups.")]
TagsOption = Annotated[
    list[str] | None, typer.Option("--tags", "-t", help="Only what carries this tag, such as a phase; may be repeated.")
]
StartAtOption = Annotated[
    str | None,
    typer.Option("--start-at", metavar="PHASE", autocompletion=_phases, help="Leave out the phases before this one."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document with the outcome; progress goes to standard error.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class PassThrough(TyperCommand):
    """A command that leaves alone what stands behind ``--``; it is in the context's ``args``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before ``--``."""
        own, rest = args, []
        if "--" in args:
            own, rest = args[: args.index("--")], args[args.index("--") + 1 :]
        parsed = super().parse_args(ctx, own)
        ctx.args = rest
        return parsed

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name what may stand behind ``--`` in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- OPTIONS OF ansible-playbook]"]


class PassThroughPlan(PassThrough):
    """The same for a command whose exit code 2 says something else than a wrong command line, which then is 1."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before ``--``."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", 0) == 2:
                error.exit_code = 1  # type: ignore[attr-defined]
            raise


class InventoryError(ValueError):
    """No inventory is named; the message says how to name one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a verb was given, checked and with the inventory found."""

    inventory: Path
    limit: str | None = None
    tags: tuple[str, ...] = ()
    start_at: str | None = None
    as_json: bool = False
    passthrough: tuple[str, ...] = ()

    @classmethod
    def given(
        cls,
        context: typer.Context,
        inventory: Path | None,
        *,
        limit: str | None = None,
        tags: list[str] | None = None,
        start_at: str | None = None,
        as_json: bool = False,
    ) -> RunOptions:
        """Take them as typer hands them over; raises :class:`InventoryError` where no inventory is named."""
        return cls(
            inventory=find_inventory(inventory),
            limit=limit,
            tags=tuple(tags or ()),
            start_at=start_at,
            as_json=as_json,
            passthrough=tuple(context.args),
        )


def find_inventory(given: Path | None) -> Path:
    """The inventory of the command line or the environment, which are one here, else the current folder if it is one."""
    if given:
        return given
    if Path("hosts.yml").is_file():
        return Path()
    raise InventoryError(NO_INVENTORY)
