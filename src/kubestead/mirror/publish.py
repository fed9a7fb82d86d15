"""The published tree: assembled aside from the store, then put in place of the old one in one step."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kubestead import paths
from kubestead.mirror import debian, oci, repository
from kubestead.mirror.catalogue import Catalogue, Repository, catalogue_path
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.store import Store, file_digest, link_or_copy

_OS_REPOSITORY = "debian"


@dataclass(frozen=True)
class Entry:
    """One component that the mirror serves, and the artefact it comes from."""

    minor: str
    name: str
    kind: Literal["package", "image", "manifest", "os-packages"]
    reference: str
    key: str
    origin: Literal["built", "synced"]


@dataclass(frozen=True)
class Mirror:
    """The folders of a mirror."""

    root: Path

    @classmethod
    def default(cls) -> Mirror:
        """The mirror in this user's cache."""
        return cls(paths.cache_dir() / "mirror")

    @property
    def store(self) -> Store:
        """Finished artefacts."""
        return Store(self.root / "store")

    @property
    def key(self) -> repository.SigningKey:
        """The key that signs the package repositories."""
        return repository.SigningKey(self.root / "gnupg")

    @property
    def logs(self) -> Path:
        """The output of builds."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the mirror."""
        return self.root / "lock"

    @property
    def current(self) -> Path:
        """A link to the published tree: ``www`` is served as it is, ``registry`` is the registry's storage."""
        return self.root / "current"

    def entries(self) -> list[Entry]:
        """What is published."""
        return [Entry(**entry) for entry in self._state().get("entries", ())]

    def server(self) -> str | None:
        """The key of the artefact with the programs that serve the mirror."""
        key = self._state().get("server")
        return str(key) if key else None

    def missing_file(self) -> str | None:
        """The first published file that is gone or of another size, or None."""
        for name, size in self._state().get("files", {}).items():
            try:
                if (self.current / name).stat().st_size != size:
                    return str(name)
            except FileNotFoundError:
                return str(name)
        return None

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.current / "state.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        return state


def publish(mirror: Mirror, catalogue: Catalogue, entries: Iterable[Entry], server: str | None) -> None:
    """Publishes exactly these entries. Who reads meanwhile sees the old tree or the new one."""
    entries = sorted(entries, key=lambda e: (e.minor, e.kind, e.name))
    trees = mirror.root / "trees"
    trees.mkdir(parents=True, exist_ok=True)
    tree = Path(tempfile.mkdtemp(dir=trees))
    tree.chmod(0o755)
    try:
        _assemble(mirror, catalogue, entries, tree)
        files = {str(f.relative_to(tree)): f.stat().st_size for f in sorted(tree.rglob("*")) if f.is_file()}
        state = {"entries": [asdict(entry) for entry in entries], "server": server, "files": files}
        (tree / "state.json").write_text(json.dumps(state))
        switch = tree.with_name(f"{tree.name}.link")
        switch.symlink_to(Path("trees", tree.name))
        switch.replace(mirror.current)
    except BaseException:
        shutil.rmtree(tree, ignore_errors=True)
        raise
    for old in trees.iterdir():
        if old != tree:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()


def _assemble(mirror: Mirror, catalogue: Catalogue, entries: list[Entry], tree: Path) -> None:
    www, registry = tree / "www", tree / "registry"
    registry.mkdir()
    www.mkdir()
    debs: dict[str, list[Entry]] = defaultdict(list)
    manifests: dict[Path, Path] = {}  # releases may share one
    for entry in entries:
        folder = mirror.store.path(entry.key)
        if entry.kind == "image":
            oci.into_registry(folder, registry, entry.reference)
        elif entry.kind == "manifest":
            manifests[www / "files" / entry.reference] = folder / entry.reference
        elif entry.kind == "package":
            recipe = catalogue.artefacts.repositories[catalogue.artefacts.packages[entry.name].repository]
            debs[recipe.path.format(minor=entry.minor)].append(entry)
        else:
            debs[_OS_REPOSITORY].append(entry)
    for target, source in manifests.items():
        link_or_copy(source, target)
    for place, members in debs.items():
        _copy_tree(mirror.store.path(_repository(mirror, catalogue, place, members)), www / place)
    (www / "index.json").write_text(json.dumps(_index(mirror, catalogue, entries), indent=1))


def _repository(mirror: Mirror, catalogue: Catalogue, place: str, members: list[Entry]) -> str:
    """The key of a signed repository of these packages, written now where it is not in the store."""
    recipe = _recipe(catalogue, place, members)
    content = {"recipe": recipe.model_dump(), "keys": [m.key for m in members], "signed-by": mirror.key.fingerprint}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    key = f"repository-{place.strip('/').replace('/', '-').replace(':', '')}-{digest[:20]}"
    if mirror.store.damage(key, thorough=True):
        with mirror.store.new(key) as folder:
            packages = {deb.name: deb for m in members for deb in mirror.store.path(m.key).glob("*.deb")}
            repository.write(recipe, packages.values(), folder, mirror.key, debian.architecture())
    return key


def _recipe(catalogue: Catalogue, place: str, members: list[Entry]) -> Repository:
    if place == _OS_REPOSITORY:
        return Repository(layout="flat", upstream="", path=place, key="Release.key", fingerprint="")
    return catalogue.artefacts.repositories[catalogue.artefacts.packages[members[0].name].repository]


def _copy_tree(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.name != "checksums.json":
            link_or_copy(path, target / path.relative_to(source))


def _index(mirror: Mirror, catalogue: Catalogue, entries: list[Entry]) -> dict[str, Any]:
    """What clients may know of a mirror."""
    return {
        "catalogue": {"digest": file_digest(catalogue_path()), "default": catalogue.default},
        "architecture": debian.architecture(),
        "signing_key": mirror.key.fingerprint,
        "registries": list(catalogue.registries),
        "components": [{k: v for k, v in asdict(entry).items() if k != "key"} for entry in entries],
    }


def require_published(mirror: Mirror) -> None:
    """Refuses where there is nothing to serve."""
    if not mirror.entries():
        raise MirrorError(
            f"The mirror {mirror.root} is empty. Fill it first: `kubestead mirror build` (from source) or "
            "`kubestead mirror sync` (from upstream)."
        )
