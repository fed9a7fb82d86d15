"""Files that a killed process leaves either as they were or complete, and locks that die with their holder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubestead.lab.errors import LabError


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, making its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def lock(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock that the kernel releases when this process ends, however it ends.

    :param path: the lock's file; it stays.
    :param busy: error message where another process holds it; without one, wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise LabError(busy or "") from error
        yield
