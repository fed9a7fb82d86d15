"""One file with all that a mirror serves: written on a connected machine, loaded behind an air gap."""

from __future__ import annotations

import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kubestead.mirror import debian
from kubestead.mirror.catalogue import Catalogue, catalogue_path
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.progress import Reporter
from kubestead.mirror.publish import Entry, Mirror, publish, require_published
from kubestead.mirror.store import file_digest, lock, require_space

_HEAD = "bundle.json"
# More would take minutes and save little: packages are compressed already.
_COMPRESSION = 1


class Head(BaseModel):
    """The first file of a bundle: what is in it, and for what.

    :ivar files: for each artefact its files, each with its SHA-256.
    :ivar size: bytes that these files take once they are unpacked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    kubestead: str
    catalogue: str
    architecture: str
    entries: list[Entry]
    server: str | None
    size: int
    files: dict[str, dict[str, str]]


def write(mirror: Mirror, target: Path, minors: list[str], reporter: Reporter) -> Head:
    """Write what is published to one file.

    :param minors: Kubernetes minors to take; none means all that are published.
    :raises MirrorError: the mirror lacks a minor, an artefact is damaged, or the file cannot be written.
    """
    with lock(mirror.lock, reporter.note):
        head = _head(mirror, minors)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("wb") as file:
                _pack(mirror, head, file)
            partial.replace(target)
        except OSError as error:
            raise MirrorError(f"The bundle {target} cannot be written: {error.strerror or error}.") from error
        finally:
            partial.unlink(missing_ok=True)
    return head


def load(mirror: Mirror, catalogue: Catalogue, source: Path, reporter: Reporter) -> Head:
    """Take a bundle into the mirror, beside what it holds. Nothing is changed unless all of it is sound.

    :raises MirrorError: the file is no bundle, cut short, altered, or made for another catalogue or architecture.
    """
    with lock(mirror.lock, reporter.note), _opened(source) as bundle:
        head = _read_head(bundle, source)
        _require_fit(head, source)
        require_space({mirror.root: head.size})
        with mirror.store.scratch() as folder:
            _unpack(bundle, head, folder, source)
            for key in head.files:
                _take_in(mirror, key, folder / key)
        entries = {(entry.minor, entry.name): entry for entry in [*mirror.entries(), *head.entries]}
        publish(mirror, catalogue, entries.values(), head.server or mirror.server())
    return head


def _head(mirror: Mirror, minors: list[str]) -> Head:
    require_published(mirror)
    published = mirror.entries()
    missing = sorted(set(minors) - {entry.minor for entry in published})
    if missing:
        raise MirrorError(
            f"The mirror {mirror.root} holds nothing of Kubernetes {missing[0]}. Fill it first: "
            f"`kubestead mirror sync --kubernetes {missing[0]}` (from upstream) or `kubestead mirror build --kubernetes {missing[0]}`."
        )
    entries = [entry for entry in published if not minors or entry.minor in minors]
    server = mirror.server()
    keys = sorted({entry.key for entry in entries} | ({server} if server else set()))
    for key in keys:
        damage = mirror.store.damage(key, thorough=True)
        if damage:
            raise MirrorError(
                f"{key} in the mirror is damaged: {damage}. `kubestead mirror build` or `sync` makes it anew."
            )
    return Head(
        format=1,
        kubestead=version("kubestead"),
        catalogue=file_digest(catalogue_path()),
        architecture=debian.architecture(),
        entries=entries,
        server=server,
        size=sum(map(mirror.store.size, keys)),
        files={key: mirror.store.checksums(key) for key in keys},
    )


def _pack(mirror: Mirror, head: Head, file: io.BufferedIOBase) -> None:
    text = head.model_dump_json().encode()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=_COMPRESSION) as bundle:
        member = tarfile.TarInfo(_HEAD)
        member.size = len(text)
        bundle.addfile(member, io.BytesIO(text))
        for key, names in head.files.items():
            for name in names:
                bundle.add(mirror.store.path(key) / name, f"{key}/{name}", recursive=False)


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r|gz") as bundle:
            yield bundle
    except FileNotFoundError:
        raise MirrorError(f"There is no file {source}.") from None
    except tarfile.FilterError as error:
        raise MirrorError(
            f"{source} holds a file that belongs in no bundle ({error}). The mirror stays as it was."
        ) from error
    except (tarfile.ReadError, EOFError, zlib.error, OSError) as error:
        raise MirrorError(
            f"{source} cannot be read to its end: {error}. It was cut short or altered on its way; copy it again. "
            "The mirror stays as it was."
        ) from error


def _read_head(bundle: tarfile.TarFile, source: Path) -> Head:
    member = bundle.next()
    file = bundle.extractfile(member) if member and member.name == _HEAD else None
    if file is None:
        raise MirrorError(f"{source} is no bundle. `kubestead mirror bundle FILE` writes one.")
    try:
        return Head.model_validate_json(file.read())
    except ValidationError as error:
        raise MirrorError(
            f"{source} is a bundle that this version of Kubestead ({version('kubestead')}) does not know: {error.errors()[0]['msg']}."
        ) from error


def _require_fit(head: Head, source: Path) -> None:
    if head.catalogue != file_digest(catalogue_path()):
        raise MirrorError(
            f"{source} was made by Kubestead {head.kubestead} from another catalogue than this version's ({version('kubestead')}), so it "
            "lacks versions that the roles will ask for. Use the same version of Kubestead on both sides. The mirror stays as it was."
        )
    if head.architecture != debian.architecture():
        raise MirrorError(
            f"{source} was made for {head.architecture}, and this machine serves {debian.architecture()}. The mirror stays as it was."
        )


def _unpack(bundle: tarfile.TarFile, head: Head, folder: Path, source: Path) -> None:
    for member in bundle:
        if member.name != _HEAD:
            bundle.extract(member, folder, filter="data")
    for key, names in head.files.items():
        for name, digest in names.items():
            path = folder / key / name
            if not path.is_file() or file_digest(path) != digest:
                raise MirrorError(
                    f"{key}/{name} in {source} does not match its checksum. Copy the bundle again. The mirror stays as it was."
                )


def _take_in(mirror: Mirror, key: str, source: Path) -> None:
    if mirror.store.damage(key) is None:
        return
    with mirror.store.new(key) as target:
        for path in source.iterdir():
            shutil.move(path, target)
