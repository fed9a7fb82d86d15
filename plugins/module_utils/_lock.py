# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One kubeadm at a time on a node, a mark for work that was begun, and a place for files that hold secrets."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

LOCK_PATH = "/run/kubestead.lock"
SECRETS_PATH = "/run/kubestead"
MARKER_PATH = "/var/lib/kubestead/in-progress.json"


def is_locked(path: str = LOCK_PATH) -> bool:
    """Whether a kubeadm of ours is at work on this node."""
    try:
        with open(path, "rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextlib.contextmanager
def node_lock(timeout: float, path: str = LOCK_PATH) -> t.Iterator[int]:
    """Hold the node's lock; waits at most `timeout` seconds for another holder.

    Gives the lock's file descriptor. A child that inherits it keeps the lock until it ends, so that a kubeadm which
    outlives its killed module still keeps others out.
    """
    try:
        held = wait_for(lambda: _acquire(path), lambda one: one is not None, "the lock", timeout, interval=0.2)
    except WaitTimeoutError as error:
        raise KubesteadError(
            f"Another run still works on this node: {path} was held for {timeout:g} s. "
            f"See who holds it with `fuser -v {path}`, let it finish, and run the same again."
        ) from error
    descriptor = t.cast("int", held)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(path: str) -> t.Optional[int]:
    """The descriptor of the locked file; None while another holds it, or has just taken the file along."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


@contextlib.contextmanager
def secret_directory(parent: str = SECRETS_PATH) -> t.Iterator[str]:
    """A directory that only root can enter, in memory, gone at the end also when the module is told to stop.

    Use it under node_lock: what a killed predecessor has left there is removed first.
    """
    forget_secrets(parent)
    os.makedirs(parent, mode=0o700)
    directory = tempfile.mkdtemp(dir=parent)
    previous = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield directory
    finally:
        forget_secrets(parent)
        for number, handler in previous.items():
            signal.signal(number, handler)


def forget_secrets(parent: str = SECRETS_PATH) -> None:
    """Remove what a killed predecessor has left. Use it under node_lock."""
    shutil.rmtree(parent, ignore_errors=True)


def _stop(number: int, _frame: t.Any) -> t.NoReturn:
    raise SystemExit(128 + number)


def write_secret(directory: str, name: str, content: str) -> str:
    """Write a file that only root can read, and give its path."""
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(content)
    return path


class Marker:
    """The mark on the disk that says: kubeadm has begun something here and has not finished it."""

    def __init__(self, path: str = MARKER_PATH, operations: t.Sequence[str] = ("init", "join")) -> None:
        self.path = path
        self.operations = operations

    def read(self) -> t.Optional[str]:
        """The operation that was begun; None where nothing is unfinished."""
        try:
            with open(self.path, encoding="utf-8") as handle:
                content = json.load(handle)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            # A mark cut short by a power failure is still a mark.
            return self.operations[0]
        operation = content.get("operation") if isinstance(content, dict) else None
        return operation if operation in self.operations else self.operations[0]

    def write(self, operation: str) -> None:
        """Mark the operation as begun; on the disk before this returns."""
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        temporary = f"{self.path}.new"
        with open(temporary, "w", encoding="utf-8") as handle:
            json.dump({"operation": operation, "started": time.time()}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self.path)

    def remove(self) -> None:
        """Mark the operation as finished."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.path))
