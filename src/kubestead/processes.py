"""Processes that would outlive the one that began them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

STOP_TIMEOUT = 20


def end(pids: Collection[int]) -> None:
    """Ask processes to end and wait for it; those that do not are killed."""
    alive = {pid: mark for pid in pids if (mark := started(pid))}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # a process that stands still would not notice
        deadline = time.monotonic() + STOP_TIMEOUT
        while alive and time.monotonic() < deadline:
            alive = {pid: mark for pid, mark in alive.items() if started(pid) == mark}
            time.sleep(0.05)
        if not alive:
            return
    raise TimeoutError(f"Processes that do not end: {', '.join(map(str, alive))}")


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where it has ended. Only together with it is a number unique."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def hold(but: Collection[int] = ()) -> set[int]:
    """Stop (SIGSTOP) what this process began and all that those began, so that none begins another before :func:`end`; gives them.

    ``but`` names processes that are left alone.
    """
    held: set[int] = set()
    while new := descendants(os.getpid()) - held - set(but):
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        held |= new
    return held


def descendants(pid: int) -> set[int]:
    """The processes that a process began, and theirs in turn, whatever groups and sessions they have moved to."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has just ended
    found: set[int] = set()
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation} - found
        found |= generation
    return found
