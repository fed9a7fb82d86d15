"""Extra variables that look secret: their values are hidden in what a run leaves behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HIDDEN_VALUE = "***"
_NAME = re.compile(
    r"pass(word|wd|phrase)?$|password|secret|token|credential|(private|api|access|certificate|vault)_?key",
    re.IGNORECASE,
)
_PAIR = re.compile(r"""([^\s=]+)=("[^"]*"|'[^']*'|\S*)""")
_SHORTEST = 4  # a shorter value stands in too many other words


class Secrets:
    """Values to be hidden, collected from ``--extra-vars`` by the names of the variables."""

    def __init__(self, values: Sequence[str] = ()) -> None:
        # The longest first: one may be part of another. Also as JSON writes them, for what Ansible printed.
        forms = {form for value in values if len(value) >= _SHORTEST for form in (value, json.dumps(value)[1:-1])}
        self._forms = sorted(forms, key=len, reverse=True)

    @classmethod
    def of(cls, options: Sequence[str]) -> Secrets:
        """Read the options of a command line, also the files that it names with ``@``, where they are plain YAML."""
        return cls([value for argument in _extra_vars(options) for value in _values(_read(argument))])

    def hide(self, value: Any) -> Any:
        """The value (a string, or lists and mappings of them) with each secret replaced by ``***``."""
        if not self._forms:
            return value
        if isinstance(value, str):
            for form in self._forms:
                value = value.replace(form, HIDDEN_VALUE)
            return value
        if isinstance(value, Mapping):
            return {key: self.hide(inner) for key, inner in value.items()}
        return [self.hide(inner) for inner in value] if isinstance(value, list) else value


def hide_options(options: Sequence[str]) -> list[str]:
    """The options with the values of variables that look secret replaced, however short they are."""
    hidden, follows = [], False
    for word in options:
        prefix, argument = ("", word) if follows else _split(word)
        follows = argument is None and word in ("-e", "--extra-vars")
        hidden.append(word if argument is None else prefix + _hidden(argument))
    return hidden


def _extra_vars(options: Sequence[str]) -> Iterator[str]:
    follows = False
    for word in options:
        argument = word if follows else _split(word)[1]
        follows = argument is None and word in ("-e", "--extra-vars")
        if argument is not None:
            yield argument


def _split(word: str) -> tuple[str, str | None]:
    for prefix in ("--extra-vars=", "-e"):
        if word.startswith(prefix) and word != prefix:
            return prefix, word.removeprefix(prefix)
    return "", None


def _read(argument: str) -> Any:
    """What an argument of --extra-vars gives: a mapping, as Ansible reads it; nothing where it cannot be read here."""
    try:
        if argument.startswith("@"):
            return yaml.safe_load(Path(argument[1:]).expanduser().read_text(encoding="utf-8"))
        if argument.lstrip().startswith(("{", "[")):
            return yaml.safe_load(argument)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {name: value.strip("'\"") for name, value in _PAIR.findall(argument)}


def _values(read: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(read, Mapping):
        for name, value in read.items():
            yield from _values(value, secret=secret or bool(_NAME.search(str(name))))
    elif isinstance(read, list):
        for value in read:
            yield from _values(value, secret=secret)
    elif secret and isinstance(read, str | int) and not isinstance(read, bool):
        yield str(read)


def _hidden(argument: str) -> str:
    if argument.startswith("@"):
        return argument
    if argument.lstrip().startswith(("{", "[")):
        read = _read(argument)
        shown = _without(read)
        return argument if shown == read else json.dumps(shown)
    return _PAIR.sub(lambda pair: f"{pair[1]}={HIDDEN_VALUE if _NAME.search(pair[1]) else pair[2]}", argument)


def _without(read: Any) -> Any:
    if isinstance(read, Mapping):
        return {
            name: HIDDEN_VALUE if value and _NAME.search(str(name)) else _without(value) for name, value in read.items()
        }
    return [_without(value) for value in read] if isinstance(read, list) else read
