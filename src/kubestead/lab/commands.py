"""Running programs: always a list of arguments, and an error that quotes what was run and what it said."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubestead.lab.errors import LabError


class CommandError(LabError):
    """A program failed or could not be started.

    ``output`` is what it wrote to standard error, or to standard output where that was empty.
    """

    def __init__(self, argv: Sequence[str], outcome: str, output: str) -> None:
        self.argv = list(argv)
        self.output = output.strip()
        super().__init__("\n".join(filter(None, [f"{shlex.join(argv)}: {outcome}", self.output])))


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 900,
    log: Path | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    :param environment: variables added to our own.
    :param timeout: seconds.
    :param log: file that receives standard error as it comes, for programs that talk for minutes.
    :raises CommandError: it is not installed, did not end in time, or ended with another code than 0.
    """
    try:
        with log.open("wb") if log else open(os.devnull, "wb") as sink:  # noqa: PTH123 - one name for both kinds
            result = subprocess.run(
                list(argv),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.PIPE,
                stderr=sink if log else subprocess.PIPE,
                text=True,
                timeout=timeout,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
                check=False,
            )
    except FileNotFoundError as error:
        raise CommandError(argv, f"{error.filename} is not installed", "") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(argv, f"no end after {timeout:.0f} s", _text(error.stderr)) from error
    if result.returncode:
        said = _tail(log) if log else result.stderr or result.stdout
        raise CommandError(argv, f"ended with code {result.returncode}", said)
    return result.stdout


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join([*log.read_text(errors="replace").splitlines()[-lines:], f"(all of it: {log})"])
