"""One changing run at a time on one inventory: a lock that tells who holds it, and that a killed run does not leave behind."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from kubestead.paths import state_dir


class LockedError(RuntimeError):
    """Another run changes the same cluster; the message says whose and since when."""


def lock_file(inventory: Path) -> Path:
    """The lock of an inventory, the same for a folder and the hosts.yml in it, by whatever way they are named."""
    place = inventory.resolve()
    place = place.parent if place.name == "hosts.yml" else place
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    return state_dir() / "locks" / f"{place.name}-{digest}.lock"


def claim(inventory: Path, command: str) -> TextIO:
    """Keep others from changing the same cluster until the file is closed; raises :class:`LockedError` where somebody does.

    The kernel gives the lock back when its holder ends, however it ends: what a file without a holder tells is only the past.
    """
    path = lock_file(inventory)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with file:
            raise LockedError(_refusal(inventory, file.read())) from None
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = json.dumps({"pid": os.getpid(), "user": _user(), "since": now, "command": command})
    with suppress(OSError):  # it holds without telling whose it is
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), holder.encode(), 0)
    return file


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def _refusal(inventory: Path, told: str) -> str:
    try:
        holder = json.loads(told)
        who = f"{holder['user']}, process {holder['pid']}, since {holder['since']}:\n  {holder['command']}"
    except (ValueError, KeyError, TypeError):
        who = "a run that has just begun"
    return (
        f"the cluster of {inventory} is being changed already, by {who}\n"
        "Nothing was done. Wait for that run to end, or stop it; then type the same again."
    )
