"""Output that may end before the run does: a terminal that is closed, a pipe that nobody reads any more.

The run goes on then, in silence, and its record tells of it; a cluster that is half built because a window was closed helps nobody.
``kill`` with the number of the process stops it as Ctrl-C would.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any, cast

from rich.console import Console


class _Lasting:
    """A file whose writes never fail: what cannot be written is dropped, and so is all that follows."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._both = _is_terminal(file) and _is_terminal(sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except UnicodeEncodeError as error:
            return self.write(text.encode(error.encoding, "replace").decode(error.encoding))
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        # Whoever else writes to the same place, Python at its own end too, is to find an open file.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            if self._both:
                os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)


def lasting(console: Console) -> Console:
    """The console, made to outlast what it writes to."""
    if not isinstance(console.file, _Lasting):
        console.file = cast("IO[str]", _Lasting(console.file))
    return console


@contextmanager
def outlive_terminal() -> Iterator[None]:
    """Let a terminal that goes away (SIGHUP) end the output only. Ansible, begun meanwhile, has a terminal of its own."""

    def go_on(number: int, frame: FrameType | None) -> None:
        """Nothing is to be done: the output's own errors tell."""

    previous = signal.getsignal(signal.SIGHUP)
    if previous is signal.SIG_IGN:  # under nohup
        yield
        return
    signal.signal(signal.SIGHUP, go_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)


def _is_terminal(file: IO[str]) -> bool:
    with suppress(ValueError, OSError):
        return file.isatty()
    return False
