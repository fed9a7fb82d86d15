"""Running other programs: output kept in a log, children ended with us, failures as one message."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kubestead.mirror.errors import MirrorError

_running: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()
# As the kernel says it, and as apt does, which looks beforehand.
_NO_SPACE = ("no space left on device", "you don't have enough free space")


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Runs a command and returns its standard output; a failure is a :class:`MirrorError` with the last lines it printed."""
    words = [str(word) for word in command]
    # A builder that is killed outright cannot end its children: the kernel does.
    leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    if not shutil.which(words[0]):
        raise MirrorError(f"The program {words[0]} is missing.")
    with _guard:
        process = subprocess.Popen(
            [*leash, *words],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _running.add(process)
    try:
        output, errors = process.communicate()
    finally:
        with _guard:
            _running.discard(process)
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"$ {' '.join(words)}\n{output}{errors}")
    if process.returncode:
        raise MirrorError(_failure(words, process.returncode, output + errors, log))
    return output


def _failure(words: list[str], code: int, said: str, log: Path | None) -> str:
    if any(text in said.lower() for text in _NO_SPACE):
        return f"The disk is full: {words[0]} found no room to write. Nothing finished was lost. {_ROOM}"
    tail = "\n".join(f"  {line}" for line in said.strip().splitlines()[-15:])
    where = f"\nThe whole output: {log}" if log else ""
    how = (
        f"failed with exit code {code}"
        if code > 0
        else f"was ended by {signal.Signals(-code).name}{_MEMORY[code == -9]}"
    )
    return f"`{' '.join(words[:6])}{' …' if len(words) > 6 else ''}` {how}:\n{tail}{where}"


_MEMORY = {True: ", perhaps because memory ran out", False: ""}
_ROOM = "Free some space (`kubestead mirror status` tells what is used) and run the same command again."


@contextmanager
def disk_full_told() -> Iterator[None]:
    """Turns a full disk met by ourselves into one message."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise MirrorError(
            f"The disk is full: {error.filename or 'a file'} could not be written. Nothing finished was lost. {_ROOM}"
        ) from error


def stop_all() -> None:
    """Ends every program still running, with its children."""
    with _guard:
        processes = list(_running)
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
