"""Fetches the artefacts from upstream, verifies them, and publishes them in the same tree as built ones."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from kubestead.mirror import debian, process
from kubestead.mirror.build import Build
from kubestead.mirror.catalogue import Catalogue, Repository
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Component, Planner
from kubestead.mirror.progress import Reporter
from kubestead.mirror.publish import Entry, Mirror, publish
from kubestead.mirror.store import file_digest, lock, require_space

_FETCHES = 4
_TIMEOUT = 60
_CHUNK = 1 << 20
# For each component; the largest images come near it.
_ROOM = 120_000_000


@dataclass(frozen=True)
class Upstream:
    """Where to fetch from. ``instead`` gives other addresses for leading parts of upstream's, ``trusted`` further signing keys."""

    instead: Mapping[str, str]
    trusted: frozenset[str]

    @classmethod
    def parse(cls, instead: Iterable[str], trusted: Iterable[str]) -> Upstream:
        """From ``UPSTREAM=ADDRESS`` texts and fingerprints."""
        pairs = [text.partition("=") for text in instead]
        for address, equals, other in pairs:
            if not (address and equals and other):
                raise MirrorError(
                    f"“{address}{equals}{other}” names no other upstream. Write UPSTREAM=ADDRESS, as "
                    "https://pkgs.k8s.io=https://mirror.example or registry.k8s.io=mirror.example/registry.k8s.io."
                )
        fingerprints = frozenset(text.replace(" ", "").upper() for text in trusted)
        return cls({address: other for address, _, other in pairs}, fingerprints)

    def address(self, upstream: str) -> str:
        """The address to use for one of upstream's."""
        for prefix in sorted(self.instead, key=len, reverse=True):
            if upstream == prefix or upstream.startswith(f"{prefix}/"):
                return self.instead[prefix].rstrip("/") + upstream[len(prefix) :]
        return upstream


class Sync:
    """One run of fetching."""

    def __init__(self, catalogue: Catalogue, mirror: Mirror, upstream: Upstream, progress: Reporter) -> None:
        self._catalogue = catalogue
        self._mirror = mirror
        self._store = mirror.store
        self._upstream = upstream
        self._progress = progress

    def run(self, minor: str, names: Iterable[str] | None = None) -> None:
        """Fetches these components of a minor; publishes only when all were fetched and verified."""
        planner = Planner(
            self._catalogue, minor, architecture=debian.architecture(), suite=debian.suite(), upstream=True
        )
        wanted = planner.components(names)
        with lock(self._mirror.lock, self._progress.note), process.disk_full_told():
            self._store.sweep()
            require_space({self._mirror.root: _ROOM * len(wanted)})
            debian.provide(["apt-utils", "gpg", "gpgv", "skopeo"], self._mirror.logs / "prepare.log")
            self._progress.plan({component.name: 0 for component in wanted})
            jobs = [self._job(component) for component in wanted]
            with ThreadPoolExecutor(_FETCHES) as pool:
                try:
                    fetched = list(pool.map(lambda job: job(), jobs))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    process.stop_all()
                    raise
            entries = {(entry.minor, entry.name): entry for entry in self._mirror.entries()}
            entries |= {(entry.minor, entry.name): entry for entry in fetched}
            publish(self._mirror, self._catalogue, entries.values(), self._server(planner))

    def _server(self, planner: Planner) -> str | None:
        if debian.distribution() != "debian":
            return self._mirror.server()
        Build(self._catalogue, self._mirror, self._progress).make([planner.server()])
        return planner.server().key

    def _job(self, component: Component) -> Callable[[], Entry]:
        fetch = {"package": self._package, "image": self._image, "manifest": self._manifest, "os-packages": self._built}

        def job() -> Entry:
            begin = time.monotonic()
            self._progress.started(component.name)
            entry = fetch[component.kind](component)
            self._progress.finished(component.name, time.monotonic() - begin)
            return entry

        return job

    def _package(self, component: Component) -> Entry:
        recipe = self._catalogue.artefacts.packages[component.name]
        if recipe.released:
            self._progress.note(f"Upstream has {component.name} in no package repository; it is built from source.")
            return self._built(component)
        repository = self._catalogue.artefacts.repositories[recipe.repository]
        index = self._index(repository, component.minor)
        found = index.find(component.name, component.reference, companion=recipe.companion)
        if found["Version"] != component.reference:
            self._progress.note(
                f"{index.base} has no {component.name} {component.reference}; taking {found['Version']}."
            )
        key = f"{component.name}-synced-{found['SHA256'][:20]}"
        if self._store.damage(key):
            with self._store.new(key) as folder:
                name = f"{component.name}_{found['Version']}_{debian.architecture()}.deb"
                _download(f"{index.base}/{found['Filename'].removeprefix('./')}", folder / name, found["SHA256"])
        return replace(_entry(component, key), reference=found["Version"])

    def _index(self, repository: Repository, minor: str) -> PackageIndex:
        base = self._upstream.address(repository.upstream) + "/" + repository.path.format(minor=minor)
        trusted = {repository.fingerprint} | self._upstream.trusted
        with self._store.scratch() as work:
            return fetch_index(repository, base, trusted, work)

    def _image(self, component: Component) -> Entry:
        address = self._upstream.address(component.reference)
        digest = hashlib.sha256(f"{component.reference} {debian.architecture()}".encode()).hexdigest()
        key = f"{component.name}-synced-{digest[:20]}"
        if self._store.damage(key):
            with self._store.new(key) as folder:
                copy_image(address, folder, component.reference)
        return _entry(component, key)

    def _manifest(self, component: Component) -> Entry:
        recipe = self._catalogue.artefacts.manifests[component.name]
        release = self._catalogue.release(component.minor)
        address = self._upstream.address(release.render(recipe.upstream))
        digest = hashlib.sha256(component.reference.encode()).hexdigest()
        key = f"{component.name}-synced-{digest[:20]}"
        if self._store.damage(key):
            with self._store.new(key) as folder:
                place = folder / component.reference
                place.parent.mkdir(parents=True)
                _download(address, place, None)
        return _entry(component, key)

    def _built(self, component: Component) -> Entry:
        Build(self._catalogue, self._mirror, self._progress).make([component.step])
        return replace(_entry(component, component.step.key), origin="built")


def _entry(component: Component, key: str) -> Entry:
    return Entry(component.minor, component.name, component.kind, component.reference, key, "synced")


@dataclass(frozen=True)
class PackageIndex:
    """The packages of a repository whose signature and checksums held."""

    base: str
    packages: tuple[Mapping[str, str], ...]

    def find(self, name: str, version: str, *, companion: bool = False) -> Mapping[str, str]:
        """A package at a version. Of a ``companion``, which upstream chooses itself, else the newest there is."""
        offered = [package for package in self.packages if package["Package"] == name]
        for package in offered:
            if package["Version"] == version:
                return package
        if companion and offered:
            return offered[-1]
        versions = ", ".join(package["Version"] for package in offered) or "none of its versions"
        raise MirrorError(f"{self.base} has no {name} {version}. It has: {versions}.")


def fetch_index(repository: Repository, base: str, trusted: set[str], work: Path) -> PackageIndex:
    """Reads a repository's index: key, then signature, then checksum, each held against the one before."""
    keyring = _keyring(f"{base}/{repository.key}", trusted, work)
    root = base if repository.layout == "flat" else f"{base}/dists/{repository.suite}"
    release = work / "Release"
    _download(f"{root}/InRelease", work / "InRelease", None)
    try:
        process.run(["gpgv", "--quiet", "--keyring", keyring, "--output", release, work / "InRelease"])
    except MirrorError as error:
        raise MirrorError(
            f"The signature of {root}/InRelease does not match its content, so nothing from there was taken and the mirror "
            f"is as it was. Either the repository is being changed just now (try again), or what answered is not upstream.\n{error}"
        ) from error
    folder = "" if repository.layout == "flat" else f"{repository.component}/binary-{debian.architecture()}/"
    name = f"{folder}Packages.gz"
    listed = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(name)}$", release.read_text(), re.MULTILINE)
    if not listed:
        raise MirrorError(f"{root}/InRelease lists no {name}.")
    _download(f"{root}/{name}", work / "Packages.gz", listed[1])
    text = gzip.decompress((work / "Packages.gz").read_bytes()).decode()
    packages = [_stanza(part) for part in text.split("\n\n") if part.strip()]
    fitting = (debian.architecture(), "all")
    return PackageIndex(base, tuple(p for p in packages if p.get("Architecture") in fitting))


def _stanza(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text, re.MULTILINE))


def _keyring(address: str, trusted: set[str], work: Path) -> Path:
    armoured, keyring, home = work / "key", work / "keyring.gpg", work / "gnupg"
    home.mkdir(mode=0o700)
    _download(address, armoured, None)
    gpg: list[str | Path] = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-tty"]
    shown = process.run([*gpg, "--with-colons", "--show-keys", armoured])
    primary = re.findall(r"^pub:.*\n(?:^(?!fpr).*\n)*^fpr:+([0-9A-F]{40}):", shown, re.MULTILINE)
    strangers = [fingerprint for fingerprint in primary if fingerprint not in trusted]
    if strangers or not primary:
        raise MirrorError(
            f"The key at {address} is {', '.join(strangers) or 'not an OpenPGP key'}, expected was "
            f"{' or '.join(sorted(trusted))}. Nothing was taken and the mirror is as it was. If you asked for another upstream "
            "and trust its key, add --trust and the fingerprint."
        )
    process.run([*gpg, "--yes", "--output", keyring, "--dearmor", armoured])
    return keyring


def copy_image(address: str, layout: Path, reference: str) -> None:
    """Copies an image of this machine's architecture into an OCI layout; skopeo checks every digest."""
    plain = address.startswith("http://")
    source = address.removeprefix("http://").removeprefix("https://")
    tag = reference.rsplit(":", 1)[1]
    process.run(
        [
            *("skopeo", "copy", "--quiet", "--insecure-policy", "--override-os", "linux"),
            *("--override-arch", debian.architecture(), "--retry-times", "3"),
            *(("--src-tls-verify=false",) if plain else ()),
            *(f"docker://{source}", f"oci:{layout}:{tag}"),
        ]
    )


def _download(address: str, place: Path, digest: str | None) -> None:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, place.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file, _CHUNK)
    except urllib.error.HTTPError as error:
        raise MirrorError(f"{address} answered {error.code} {error.reason}.") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise MirrorError(
            f"{address} cannot be reached: {reason}. Where upstream is out of reach, `kubestead mirror build` makes the same "
            "artefacts from source."
        ) from error
    if digest and file_digest(place) != digest:
        raise MirrorError(
            f"{address} does not match the checksum in its repository's signed index. It was thrown away and the mirror is as "
            "it was. Try again; if it stays so, that upstream is damaged or not upstream."
        )
