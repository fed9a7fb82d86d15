"""Tells a command of the user's choice how something ended."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

TIME_LIMIT = 60


class NotifyError(ValueError):
    """A command that cannot be run; the message says why."""


def words_of(command: str) -> list[str]:
    """The words of a command line, its program found; raises :class:`NotifyError`. No shell reads it."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise NotifyError(f"{command!r} is no command: {error}") from error
    if not words:
        raise NotifyError("no command is given")
    if not shutil.which(words[0]):
        raise NotifyError(f"there is no program {words[0]!r}. For a line of shell: sh -c '…'")
    return words


def notify(command: str, document: Mapping[str, Any], variables: Mapping[str, object]) -> str:
    """Run a command with the document on its standard input, and each variable as ``KUBESTEAD_<NAME>``.

    What is empty is not set. Returns why it failed, and nothing where it did not: of the command's failure nothing else follows.
    """
    told = {f"KUBESTEAD_{name.upper()}": str(value) for name, value in variables.items() if value not in (None, "")}
    try:
        done = subprocess.run(
            words_of(command),
            input=json.dumps(document, indent=2) + "\n",
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
            check=False,
            start_new_session=True,  # a Ctrl-C was meant for the run
        )
    except NotifyError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"it was ended after {TIME_LIMIT} s"
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return ""
    said = done.stdout.strip().splitlines()[-3:]
    return "\n".join([f"it ended with {done.returncode}", *(f"  | {line}" for line in said)])
