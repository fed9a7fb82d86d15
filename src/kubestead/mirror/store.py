"""The store: finished artefacts, each in a folder named after the digest of all that went into it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubestead.mirror.errors import MirrorError

_CHECKSUMS = "checksums.json"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """Artefacts below one folder. What lies there under its own name was finished; all else is rubbish of a killed run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unfinished = root.with_name("unfinished")

    def path(self, key: str) -> Path:
        """Where the artefact of this key is or would be."""
        return self.root / key

    def artefacts(self) -> list[str]:
        """The keys of all finished artefacts."""
        return sorted(entry.name for entry in self.root.iterdir()) if self.root.is_dir() else []

    def damage(self, key: str, *, thorough: bool = False) -> str | None:
        """What is wrong with an artefact, or None: sizes and times are compared, checksums where those differ or on request."""
        folder = self.path(key)
        try:
            recorded = json.loads((folder / _CHECKSUMS).read_text())["files"]
        except FileNotFoundError:
            return "its list of checksums is missing"
        except (ValueError, KeyError):
            return "its list of checksums cannot be read"
        for name, expected in recorded.items():
            wrong = _damage_of_file(folder / name, expected, thorough=thorough)
            if wrong:
                return f"{name} {wrong}"
        return None

    def checksums(self, key: str) -> dict[str, str]:
        """The files of a finished artefact, each with its SHA-256."""
        recorded = json.loads((self.path(key) / _CHECKSUMS).read_text())["files"]
        return {name: str(expected["sha256"]) for name, expected in recorded.items()}

    def remove(self, key: str) -> None:
        """Takes an artefact away."""
        shutil.rmtree(self.path(key), ignore_errors=True)

    def size(self, key: str) -> int:
        """Bytes of an artefact."""
        return sum(file.lstat().st_size for file in self.path(key).rglob("*") if file.is_file())

    @contextmanager
    def new(self, key: str) -> Iterator[Path]:
        """A fresh folder, which becomes the artefact when the block ends without an error."""
        self._unfinished.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=self._unfinished))
        try:
            folder.chmod(0o755)
            yield folder
            _write_checksums(folder)
            self.root.mkdir(parents=True, exist_ok=True)
            self.remove(key)
            folder.rename(self.path(key))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A fresh folder for the time of the block."""
        self._unfinished.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._unfinished) as folder:
            yield Path(folder)

    def sweep(self) -> None:
        """Removes what killed runs left. Only for the holder of the lock."""
        shutil.rmtree(self._unfinished, ignore_errors=True)


def _damage_of_file(path: Path, expected: dict[str, int | str], *, thorough: bool) -> str | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "is missing"
    if found.st_size != expected["size"]:
        return f"has {found.st_size} bytes instead of {expected['size']}"
    if (thorough or found.st_mtime_ns != expected["mtime_ns"]) and file_digest(path) != expected["sha256"]:
        return "does not match its checksum"
    return None


def _write_checksums(folder: Path) -> None:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            files[str(path.relative_to(folder))] = {
                "sha256": file_digest(path),
                "size": status.st_size,
                "mtime_ns": status.st_mtime_ns,
            }
    (folder / _CHECKSUMS).write_text(json.dumps({"files": files}, indent=1))


@contextmanager
def lock(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Keeps a second build out; calls ``waiting`` with who holds the lock before it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            waiting(f"Process {holder} is changing the mirror {path.parent}; waiting for it to finish.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def link_or_copy(source: Path, target: Path) -> None:
    """The same file at a second place: a hard link where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copy2(source, target)


def require_space(places: dict[Path, int]) -> None:
    """Refuses when a file system has less free space (bytes) than the places on it will need together."""
    needs: dict[int, tuple[Path, int]] = {}
    for place, need in places.items():
        existing = next(p for p in (place, *place.parents) if p.exists())
        device = existing.stat().st_dev
        first, total = needs.get(device, (existing, 0))
        needs[device] = (first, total + need)
    for place, need in needs.values():
        free = shutil.disk_usage(place).free
        if free < need:
            raise MirrorError(
                f"Not enough room on the file system of {place}: about {gigabytes(need)} GB are needed, "
                f"{gigabytes(free)} GB are free. Nothing was changed. Free some space, or set XDG_CACHE_HOME "
                "(and GOCACHE, GOMODCACHE) to a larger disk."
            )


def gigabytes(count: int) -> str:
    """Bytes as gigabytes with one decimal."""
    return f"{count / 1e9:.1f}"
