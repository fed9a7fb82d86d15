"""Container images without a container engine: layers, configuration and manifest written as an OCI layout."""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kubestead.mirror.store import file_digest, link_or_copy

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
# Not compressed: the mirror is near, and nodes then have nothing to unpack.
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# The same bytes whenever and wherever a layer is written.
TIME = 1_735_689_600
_CREATED = "2025-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NET_BIND_SERVICE = 1 << 10
_CAPABILITY_REVISION_2_EFFECTIVE = 0x02000001


@dataclass(frozen=True)
class Entry:
    """One file of a layer: content from ``source``, or a link to ``target``, or else a folder."""

    path: str
    source: Path | None = None
    target: str | None = None
    mode: int = 0o755
    net_bind_service: bool = False


@dataclass(frozen=True)
class Settings:
    """How a container of the image starts."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def write_layer(path: Path, entries: Iterable[Entry]) -> None:
    """Writes a layer; folders on the way to a file are added."""
    known: set[str] = set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in sorted(entries, key=lambda e: e.path):
            name = entry.path.strip("/")
            for parent in reversed(PurePosixPath(name).parents):
                if str(parent) not in {".", *known}:
                    known.add(str(parent))
                    archive.addfile(_info(str(parent), tarfile.DIRTYPE, 0o755))
            if name not in known:
                known.add(name)
                _add(archive, name, entry)


def _add(archive: tarfile.TarFile, name: str, entry: Entry) -> None:
    if entry.source is not None:
        info = _info(name, tarfile.REGTYPE, entry.mode)
        info.size = entry.source.stat().st_size
        if entry.net_bind_service:
            info.pax_headers = {"SCHILY.xattr.security.capability": _capability(_NET_BIND_SERVICE)}
        with entry.source.open("rb") as content:
            archive.addfile(info, content)
    elif entry.target is not None:
        info = _info(name, tarfile.SYMTYPE, 0o777)
        info.linkname = entry.target
        archive.addfile(info)
    else:
        archive.addfile(_info(name, tarfile.DIRTYPE, entry.mode))


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, TIME
    return info


def _capability(permitted: int) -> str:
    return struct.pack("<5I", _CAPABILITY_REVISION_2_EFFECTIVE, permitted, 0, 0, 0).decode("latin-1")


def write_image(layout: Path, layers: Iterable[Path], settings: Settings, architecture: str, reference: str) -> str:
    """Writes an image of finished layers as an OCI layout and returns the digest of its manifest."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    descriptors = []
    for layer in layers:
        digest = file_digest(layer)
        if not (blobs / digest).exists():
            link_or_copy(layer, blobs / digest)
        descriptors.append(_descriptor(LAYER_TYPE, digest, layer.stat().st_size))
    config = {
        "created": _CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": _config(settings),
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in descriptors]},
        "history": [{"created": _CREATED, "created_by": "kubestead mirror build"} for _ in descriptors],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _write_json(blobs, CONFIG_TYPE, config),
        "layers": descriptors,
    }
    described = _write_json(blobs, MANIFEST_TYPE, manifest)
    described["annotations"] = {"org.opencontainers.image.ref.name": reference}
    (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def _config(settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = {"Env": [_PATH], "WorkingDir": "/"}
    named = {
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.command),
        "User": settings.user,
        "Labels": dict(settings.labels),
    }
    return config | {name: value for name, value in named.items() if value}


def _write_json(blobs: Path, media_type: str, content: Any) -> dict[str, Any]:
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return _descriptor(media_type, digest, len(data))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def into_registry(layout: Path, storage: Path, reference: str) -> None:
    """Puts the images of a layout into the storage folder of a registry (distribution's format) under a full reference.

    Layers become hard links of the store's files, so an image takes its room once.
    """
    name, tag = reference.rsplit(":", 1)
    root = storage / "docker/registry/v2"
    repository = root / "repositories" / name
    top = json.loads((layout / "index.json").read_text())["manifests"]
    for blob in (layout / "blobs/sha256").iterdir():
        target = root / "blobs/sha256" / blob.name[:2] / blob.name / "data"
        if not target.exists():
            link_or_copy(blob, target)
    manifests = list(top)
    while manifests:
        digest = manifests.pop()["digest"]
        content = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())
        _link(repository / "_manifests/revisions", digest)
        for part in (*content.get("layers", ()), *([content["config"]] if "config" in content else ())):
            _link(repository / "_layers", part["digest"])
        manifests.extend(content.get("manifests", ()))
    digest = top[0]["digest"]
    current = repository / "_manifests/tags" / tag / "current/link"
    current.parent.mkdir(parents=True, exist_ok=True)
    current.write_text(digest)
    _link(repository / "_manifests/tags" / tag / "index", digest)


def _link(folder: Path, digest: str) -> None:
    place = folder / digest.replace(":", "/") / "link"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(digest)


def tree_entries(folder: Path) -> list[Entry]:
    """The files and links below a folder as entries of a layer."""
    entries = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            entries.append(Entry(name, target=str(path.readlink())))
        elif path.is_file():
            entries.append(Entry(name, source=path, mode=path.stat().st_mode & 0o7777))
        elif path.is_dir():
            entries.append(Entry(name))
    return entries
