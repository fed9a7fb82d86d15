"""The manual page kubestead(1), written from the command's own help.

``python -m kubestead.manual`` writes ``docs/kubestead.1``, which the wheel installs; with ``--check`` it only says whether the page is
out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

PAGE = Path("docs", "kubestead.1")
EXIT = {
    0: "It went well.",
    1: "It failed. Of validate: there are mistakes. Of plan: what would change could not be told. Of status: something is amiss.",
    2: "The command line is wrong, and nothing was begun. Of plan: something would change.",
    3: "Another run changes the same cluster, and nothing was begun.",
    124: "It was stopped at its time limit.",
    130: "It was stopped, by Ctrl-C or SIGTERM.",
}
ENVIRONMENT = {
    "KUBESTEAD_INVENTORY": "The inventory, where --inventory does not name one.",
    "KUBESTEAD_PLAIN": "Progress as plain lines in a terminal too, as for a screen reader.",
    "NO_COLOR": "No colours.",
    "ANSIBLE_CONFIG": "Settings for Ansible in place of those that come with Kubestead.",
    "KUBECONFIG": "Its first file is what kubeconfig --merge merges into.",
    "XDG_STATE_HOME": "Where records and locks go, in a folder kubestead; else ~/.local/state.",
    "XDG_CACHE_HOME": "Where built artefacts go, in a folder kubestead; else ~/.cache.",
}
FILES = {
    "hosts.yml, group_vars/all/cluster.yml": "An inventory: who the machines are, and what the cluster is like.",
    "~/.local/state/kubestead/runs": "The records of the last runs.",
}


def render() -> str:
    """The page in the language of man(7)."""
    from typer.main import get_command

    from kubestead.cli.main import app

    whole = get_command(app)
    context = whole.make_context("kubestead", [], resilient_parsing=True)
    lines = [
        f'.TH KUBESTEAD 1 "" "Kubestead {version("kubestead")}" "User Commands"',
        ".SH NAME",
        f"kubestead \\- {_text(str(whole.help).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text('kubestead COMMAND [OPTIONS] [-- OPTIONS OF ansible-playbook]')}",
        ".SH DESCRIPTION",
        _line(
            "Runs the playbooks of the Ansible collection kubestead.cluster, shows how they go, and keeps a record of each run."
        ),
        ".PP",
        _line("Every command has --help. docs/command.md tells more."),
        ".SH COMMANDS",
        *_commands(whole, context),
        *_table("EXIT STATUS", {str(code): text for code, text in EXIT.items()}),
        *_table("ENVIRONMENT", ENVIRONMENT),
        *_table("FILES", FILES),
        ".SH SEE ALSO",
        ".BR ansible\\-playbook (1)",
    ]
    return "\n".join(lines) + "\n"


def _commands(group: Any, context: Any) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = type(context)(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
        elif not command.hidden:
            yield from _command(command, inner)


def _command(command: Any, context: Any) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_text(f'{context.command_path} {usage}')}"
    for number, paragraph in enumerate(str(command.help or "").split("\n\n")):
        yield from [".PP"] * bool(number)
        yield _line(" ".join(paragraph.split()))
    for parameter in command.get_params(context):
        shown = parameter.get_help_record(context)
        if shown and "--help" not in parameter.opts:
            yield from (".TP", f".B {_text(' '.join(shown[0].split()))}", _line(" ".join(shown[1].split())))


def _table(title: str, entries: dict[str, str]) -> Iterator[str]:
    yield f".SH {title}"
    for name, text in entries.items():
        yield from (".TP", f".B {_text(name)}", _line(text))


def _line(text: str) -> str:
    """A line of text, which must not begin as a request does."""
    text = _text(text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _text(text: str) -> str:
    """Letters as they are meant: roff has uses of its own for some."""
    for letter, written in (("\\", "\\e"), ("-", "\\-"), ("`", "\\(ga"), ("'", "\\(aq"), ("…", "..."), ("~", "\\(ti")):
        text = text.replace(letter, written)
    return text


def main(arguments: list[str]) -> int:
    """Write the page below the working directory, or with ``--check`` name it where it is out of date."""
    page, text = Path.cwd() / PAGE, render()
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        return 0
    print(PAGE)
    if "--check" in arguments:
        return 1
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
