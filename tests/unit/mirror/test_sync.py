from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kubestead.mirror import sync
from kubestead.mirror.build import Build
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.publish import Mirror
from kubestead.mirror.sync import Sync, Upstream

from .conftest import Notes, needs_apt_tools

pytestmark = needs_apt_tools
_PACKAGES = ["kubectl", "containerd.io", "cri-tools"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class StandIn:
    """An upstream on loopback: the published files of a mirror of its own, which a test may spoil."""

    def __init__(self, mirror: Mirror, folder: Path) -> None:
        self.fingerprint = mirror.key.fingerprint
        self.folder = folder
        shutil.copytree(mirror.current / "www", folder)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def flat(self) -> Path:
        return self.folder / "core:/stable:/v1.36/deb"

    def addresses(self, *, trusted: bool = True) -> Upstream:
        instead = {
            "https://pkgs.k8s.io": self.url,
            "https://download.docker.com": self.url,
            "https://github.com/flannel-io/flannel/releases/download": f"{self.url}/files/flannel",
        }
        return Upstream(instead, frozenset({self.fingerprint} if trusted else ()))


@pytest.fixture
def upstream(
    catalogue: Catalogue, notes: Notes, small_builders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    other = Mirror(tmp_path / "up/kubestead/mirror")
    Build(catalogue, other, notes).ensure("1.36", [*_PACKAGES, "flannel-manifest"])
    monkeypatch.setattr(sync.debian, "provide", lambda *_: None)
    stand_in = StandIn(other, tmp_path / "upstream")
    yield stand_in
    stand_in.server.shutdown()


def _sync(catalogue: Catalogue, mirror: Mirror, addresses: Upstream, notes: Notes, names: list[str]) -> None:
    Sync(catalogue, mirror, addresses, notes).run("1.36", names)


def _nothing_replaced(mirror: Mirror) -> bool:
    return mirror.entries() == [] and not mirror.current.exists()


def test_packages_and_manifests_are_fetched_verified_and_published(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    _sync(catalogue, mirror, upstream.addresses(), notes, [*_PACKAGES, "flannel-manifest"])
    assert {(entry.name, entry.origin) for entry in mirror.entries()} == {
        (name, "synced") for name in (*_PACKAGES, "flannel-manifest")
    }
    www = mirror.current / "www"
    name = "kubectl_1.36.4-1.1_amd64.deb"
    here = www / "core:/stable:/v1.36/deb/amd64" / name
    assert here.read_bytes() == (upstream.flat / "amd64" / name).read_bytes()
    assert (www / "files/flannel/v0.28.4/kube-flannel.yml").read_text() == "kind: List\n"


def test_what_was_fetched_serves_a_cluster_without_building(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes, small_builders: list[str]
) -> None:
    _sync(catalogue, mirror, upstream.addresses(), notes, _PACKAGES)
    small_builders.clear()
    Build(catalogue, mirror, notes).ensure("1.36", _PACKAGES)
    assert small_builders == []


def test_the_second_time_no_package_is_fetched(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])
    for package in upstream.flat.glob("amd64/*.deb"):
        package.unlink()
    _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])
    assert [entry.name for entry in mirror.entries()] == ["kubectl"]


def test_what_upstream_has_in_no_repository_is_built(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl", "cri-dockerd"])
    assert {(entry.name, entry.origin) for entry in mirror.entries()} == {
        ("kubectl", "synced"),
        ("cri-dockerd", "built"),
    }
    assert list((mirror.current / "www/linux/debian").rglob("cri-dockerd_*.deb"))


def test_a_key_that_is_not_the_pinned_one_is_refused(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    with pytest.raises(MirrorError) as raised:
        _sync(catalogue, mirror, upstream.addresses(trusted=False), notes, ["kubectl"])
    message = str(raised.value)
    assert upstream.fingerprint in message
    assert catalogue.artefacts.repositories["kubernetes"].fingerprint in message
    assert "--trust" in message
    assert _nothing_replaced(mirror)


def test_an_index_whose_signature_does_not_match_is_refused(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    index = upstream.flat / "InRelease"
    index.write_text(index.read_text().replace("Origin: Kubestead", "Origin: Kubestaed"))
    with pytest.raises(MirrorError, match=r"The signature of http\S+/InRelease does not match its content"):
        _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])
    assert _nothing_replaced(mirror)


def test_a_list_of_packages_that_is_not_the_signed_one_is_refused(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    (upstream.flat / "Packages.gz").write_bytes(b"other")
    with pytest.raises(MirrorError, match=r"Packages\.gz does not match the checksum"):
        _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])
    assert _nothing_replaced(mirror)


def test_a_package_that_does_not_match_replaces_nothing(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])
    before = (mirror.current / "www/index.json").read_text()
    (package,) = (upstream.folder / "linux/debian").rglob("containerd.io_*.deb")
    os.truncate(package, 100)
    with pytest.raises(MirrorError, match=r"containerd\.io_\S+ does not match the checksum .* the mirror is as it was"):
        _sync(catalogue, mirror, upstream.addresses(), notes, _PACKAGES)
    assert (mirror.current / "www/index.json").read_text() == before
    assert not [key for key in mirror.store.artefacts() if key.startswith("containerd.io")]


def test_a_version_that_upstream_lacks_is_said_with_those_it_has(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    with pytest.raises(MirrorError, match=r"has no kubelet 1\.36\.4-1\.1\. It has: none of its versions"):
        _sync(catalogue, mirror, upstream.addresses(), notes, ["kubelet"])
    assert _nothing_replaced(mirror)


def test_a_companion_comes_in_the_version_that_upstream_chose(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    release = catalogue.releases["1.36"]
    changed = release.model_copy(update={"packages": {**release.packages, "cri-tools": "1.99.0"}})
    other = catalogue.model_copy(update={"releases": {**catalogue.releases, "1.36": changed}})
    _sync(other, mirror, upstream.addresses(), notes, ["cri-tools"])
    assert [entry.reference for entry in mirror.entries()] == ["1.36.0-1.1"]
    assert any("has no cri-tools 1.99.0-1.1; taking 1.36.0-1.1" in note for note in notes.notes)


def test_an_upstream_out_of_reach_is_said_with_the_other_way(
    catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes
) -> None:
    addresses = Upstream({"https://pkgs.k8s.io": "http://127.0.0.1:9"}, frozenset())
    with pytest.raises(MirrorError, match=r"cannot be reached: .*refused(?s:.*)kubestead mirror build"):
        _sync(catalogue, mirror, addresses, notes, ["kubectl"])


def test_a_missing_file_upstream_is_said(catalogue: Catalogue, mirror: Mirror, upstream: StandIn, notes: Notes) -> None:
    (upstream.flat / "Release.key").unlink()
    with pytest.raises(MirrorError, match=r"Release\.key answered 404"):
        _sync(catalogue, mirror, upstream.addresses(), notes, ["kubectl"])


def test_other_addresses_replace_whole_leading_parts() -> None:
    found = Upstream.parse(["registry.k8s.io=m.example/registry.k8s.io"], ["ab cd"])
    assert found.address("registry.k8s.io/pause:3.10") == "m.example/registry.k8s.io/pause:3.10"
    assert found.address("registry.k8s.io.example/pause:3.10") == "registry.k8s.io.example/pause:3.10"
    assert found.trusted == {"ABCD"}


def test_an_address_without_its_upstream_is_refused() -> None:
    with pytest.raises(MirrorError, match="Write UPSTREAM=ADDRESS"):
        Upstream.parse(["https://mirror.example"], [])
