"""With the real nginx and docker-registry, where a build has brought them into the cache or the machine has them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubestead.mirror import serve, sync
from kubestead.mirror.build import Build
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.publish import Mirror, publish
from kubestead.mirror.serve import Address

from .conftest import Notes, needs_apt_tools

_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _programs() -> dict[str, str]:
    """The two servers: of this user's mirror, else of the machine."""
    key = Mirror.default().server()
    root = Mirror.default().store.path(key) if key else Path("/")
    places = {"docker-registry": root / "usr/bin/docker-registry", "nginx": root / "usr/sbin/nginx"}
    return {name: str(place) for name, place in places.items() if place.is_file()}


_FOUND = _programs()
needs_servers = pytest.mark.skipif(len(_FOUND) < 2, reason="run `kubestead mirror build` once, which fetches nginx")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def filled(
    catalogue: Catalogue, mirror: Mirror, notes: Notes, small_builders: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Mirror:  # fmt: skip
    Build(catalogue, mirror, notes).ensure("1.36", ["pause", "kubectl"])
    # Then served by the programs on PATH, as a mirror that was fetched on another system is.
    publish(mirror, catalogue, mirror.entries(), None)
    for name, program in _FOUND.items():
        (tmp_path / name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{tmp_path}:{_PATH}")
    return mirror


@pytest.fixture
def url(filled: Mirror, tmp_path: Path) -> Iterator[str]:
    listen = f"127.0.0.1:{_free_port()}"
    serve.start_background(listen, tmp_path / "state", filled)
    yield f"http://{listen}"
    serve.stop_background(tmp_path / "state")


def _get(address: str, **headers: str) -> tuple[Any, bytes]:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers, answer.read()


@needs_apt_tools
@needs_servers
class TestRunning:
    def test_files_packages_and_the_index_are_there(self, url: str) -> None:
        _, index = _get(f"{url}/index.json")
        assert {part["name"] for part in json.loads(index)["components"]} == {"pause", "kubectl"}
        _, release = _get(f"{url}/core:/stable:/v1.36/deb/InRelease")
        assert b"BEGIN PGP SIGNATURE" in release

    def test_images_are_there_under_their_canonical_names(self, url: str) -> None:
        accept = "application/vnd.oci.image.manifest.v1+json"
        headers, manifest = _get(f"{url}/v2/registry.k8s.io/pause/manifests/3.10.2", Accept=accept)
        assert headers["Content-Type"] == accept
        for part in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
            headers, blob = _get(f"{url}/v2/registry.k8s.io/pause/blobs/{part['digest']}")
            assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == headers["Docker-Content-Digest"] == part["digest"]

    def test_part_of_a_layer_can_be_asked_for(self, url: str) -> None:
        accept = "application/vnd.oci.image.manifest.v1+json"
        _, manifest = _get(f"{url}/v2/registry.k8s.io/pause/manifests/3.10.2", Accept=accept)
        layer = json.loads(manifest)["layers"][0]["digest"]
        headers, blob = _get(f"{url}/v2/registry.k8s.io/pause/blobs/{layer}", Range="bytes=10-19")
        assert len(blob) == 10
        assert headers["Content-Range"].startswith("bytes 10-19/")

    def test_a_blob_that_is_not_there_is_not_found(self, url: str) -> None:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _get(f"{url}/v2/registry.k8s.io/pause/blobs/sha256:{'0' * 64}")

    def test_nothing_can_be_written(self, url: str) -> None:
        request = urllib.request.Request(f"{url}/v2/registry.k8s.io/pause/blobs/uploads/", method="POST", data=b"")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=5)

    def test_what_is_published_later_appears_without_a_restart(
        self, url: str, catalogue: Catalogue, filled: Mirror, notes: Notes
    ) -> None:
        Build(catalogue, filled, notes).ensure("1.36", ["kube-scheduler"])
        accept = "application/vnd.oci.image.manifest.v1+json"
        headers, _ = _get(f"{url}/v2/registry.k8s.io/kube-scheduler/manifests/v1.36.4", Accept=accept)
        assert headers["Content-Type"] == accept

    def test_a_second_start_keeps_the_first_server(self, url: str, filled: Mirror, tmp_path: Path) -> None:
        before = serve.background_pid(tmp_path / "state")
        assert serve.start_background(url.removeprefix("http://"), tmp_path / "state", filled) == before

    def test_stop_leaves_no_process_and_no_folder(self, url: str, tmp_path: Path) -> None:
        pid = serve.background_pid(tmp_path / "state")
        assert pid is not None
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        folders = [_option(child) for child in children]
        assert len(children) == 2
        assert serve.stop_background(tmp_path / "state") is True
        assert not any(_alive(process) for process in (pid, *children))
        assert not any(folder.exists() for folder in folders)
        assert serve.stop_background(tmp_path / "state") is False

    def test_servers_end_with_a_supervisor_that_is_killed(self, url: str, tmp_path: Path) -> None:
        pid = serve.background_pid(tmp_path / "state")
        assert pid is not None
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        folder = _option(children[0])
        os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if not any(_alive(child) for child in children):
                break
            time.sleep(0.05)
        assert not any(_alive(child) for child in children)
        shutil.rmtree(folder)

    def test_images_can_be_fetched_from_it(
        self, url: str, catalogue: Catalogue, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not shutil.which("skopeo"):
            pytest.skip("skopeo is needed")
        monkeypatch.setattr(sync.debian, "provide", lambda *_: None)
        other = Mirror(tmp_path / "other/kubestead/mirror")
        addresses = sync.Upstream({"registry.k8s.io": f"{url}/v2/registry.k8s.io".replace("/v2", "")}, frozenset())
        sync.Sync(catalogue, other, addresses, notes).run("1.36", ["pause"])
        assert [(entry.name, entry.origin) for entry in other.entries()] == [("pause", "synced")]
        tags = other.current / "registry/docker/registry/v2/repositories/registry.k8s.io/pause/_manifests/tags"
        assert [tag.name for tag in tags.iterdir()] == ["3.10.2"]

    def test_a_port_in_use_is_refused(self, filled: Mirror, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(MirrorError, match=rf"cannot listen on {listen}: Address already in use"):
                serve.start_background(listen, tmp_path / "state", filled)


def _option(pid: int) -> Path:
    """The folder of a server's configuration, from its command line (nginx writes it as one text)."""
    words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()
    return next(Path(word).parent for word in words if word.endswith((".yml", ".conf")))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_empty_mirror_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"is empty\. Fill it first: `kubestead mirror build`"):
        serve.start_background("127.0.0.1:8765", tmp_path, mirror)


@pytest.mark.parametrize("text", ["8765", "host", "host:", ":80", "host:0", "host:70000", "host:http"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(MirrorError, match="Write ADDRESS:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(("text", "url"), [("10.0.0.1:80", "http://10.0.0.1:80"), ("[::1]:80", "http://[::1]:80")])
def test_addresses_become_urls(text: str, url: str) -> None:
    assert Address.parse(text).url == url


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(MirrorError, match=r"cannot listen on 192\.0\.2\.1:8765"):
        Address.parse("192.0.2.1:8765").require_free()


def test_a_pid_that_belongs_to_another_process_by_now_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mirror.pid").write_text(f"{os.getpid()} 1\n")
    assert serve.background_pid(tmp_path) is None
    assert serve.stop_background(tmp_path) is False
