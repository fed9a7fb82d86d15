"""What the mirror holds, and making room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from kubestead.mirror.publish import Mirror
from kubestead.mirror.store import lock


@dataclass(frozen=True)
class ComponentStatus:
    """One published component. ``damage`` is None where every checksum held."""

    minor: str
    name: str
    kind: str
    reference: str
    origin: str
    size: int
    damage: str | None


@dataclass(frozen=True)
class Status:
    """The whole mirror. ``size`` counts all that its folder takes, what was needed only to build included."""

    folder: str
    size: int
    signing_key: str | None
    missing: str | None
    components: tuple[ComponentStatus, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged or missing."""
        return self.missing is None and not any(component.damage for component in self.components)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {"sound": self.sound}


def status(mirror: Mirror) -> Status:
    """Looks at every published artefact and compares all checksums."""
    damages: dict[str, str | None] = {}
    components = []
    for entry in mirror.entries():
        if entry.key not in damages:
            damages[entry.key] = mirror.store.damage(entry.key, thorough=True)
        size = mirror.store.size(entry.key)
        found = ComponentStatus(
            entry.minor, entry.name, entry.kind, entry.reference, entry.origin, size, damages[entry.key]
        )
        components.append(found)
    key = mirror.key.fingerprint if mirror.key.exists else None
    return Status(str(mirror.root), disk_usage(mirror), key, mirror.missing_file(), tuple(components))


def disk_usage(mirror: Mirror) -> int:
    """Bytes that the mirror takes on the disk; a file with several names counts once."""
    found = {}
    for path in mirror.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            entry = path.stat()
            found[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    return sum(found.values())


def clean(mirror: Mirror, waiting: Callable[[str], None], *, everything: bool) -> int:
    """Removes what is not published (or everything, the signing key included) and returns the bytes that came free."""
    if not mirror.root.exists():
        return 0
    before = disk_usage(mirror)
    with lock(mirror.lock, waiting):
        if everything:
            shutil.rmtree(mirror.root)
            return before
        published = {entry.key for entry in mirror.entries()} | {mirror.server()}
        mirror.store.sweep()
        for key in mirror.store.artefacts():
            if key not in published:
                mirror.store.remove(key)
        shutil.rmtree(mirror.logs, ignore_errors=True)
    return before - disk_usage(mirror)
