from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from kubestead.mirror import build, debian
from kubestead.mirror.build import Build, Executor, urgency
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Step
from kubestead.mirror.process import run
from kubestead.mirror.publish import Mirror

from .conftest import Notes, needs_apt_tools

pytestmark = needs_apt_tools


@pytest.fixture
def builder(catalogue: Catalogue, mirror: Mirror, notes: Notes, small_builders: list[str]) -> Build:
    return Build(catalogue, mirror, notes)


def _names(mirror: Mirror) -> set[str]:
    return {entry.name for entry in mirror.entries()}


def test_only_what_is_asked_for_is_made(builder: Build, mirror: Mirror, small_builders: list[str]) -> None:
    builder.ensure("1.36", ["pause"])
    assert sorted(small_builders) == ["c-pause", "pause", "server"]
    assert _names(mirror) == {"pause"}


def test_programs_are_built_once_for_all_that_use_them(builder: Build, small_builders: list[str]) -> None:
    builder.ensure("1.36", None)
    assert small_builders.count("go-kubernetes") == 1
    assert len(small_builders) == len(set(small_builders))


def test_the_second_time_nothing_is_made(builder: Build, small_builders: list[str]) -> None:
    builder.ensure("1.36", ["kubeadm", "pause"])
    small_builders.clear()
    builder.ensure("1.36", ["kubeadm", "pause"])
    assert small_builders == []


def test_what_was_published_before_stays(builder: Build, mirror: Mirror) -> None:
    builder.ensure("1.36", ["pause"])
    builder.ensure("1.37", ["kubectl"])
    assert {(entry.minor, entry.name) for entry in mirror.entries()} == {("1.36", "pause"), ("1.37", "kubectl")}
    assert (mirror.current / "www/core:/stable:/v1.37/deb/InRelease").is_file()


def test_releases_that_share_everything_lie_side_by_side(builder: Build, mirror: Mirror) -> None:
    for minor in ("1.36", "1.37"):
        builder.ensure(minor, ["flannel-manifest", "flannel", "containerd.io", "pause"])
    assert len(mirror.entries()) == 8
    assert (mirror.current / "www/files/flannel/v0.28.4/kube-flannel.yml").is_file()


def test_a_truncated_cached_artefact_is_said_and_made_again(
    builder: Build, mirror: Mirror, notes: Notes, small_builders: list[str]
) -> None:
    builder.ensure("1.36", ["kubectl"])
    key = mirror.entries()[0].key
    (package,) = mirror.store.path(key).glob("*.deb")
    size = package.stat().st_size
    os.truncate(package, 10)
    small_builders.clear()
    builder.ensure("1.36", ["kubectl"])
    assert small_builders == ["kubectl"]
    assert f"The cached artefact {key} is damaged: {package.name} has 10 bytes instead of {size}" in notes.notes[0]
    published = mirror.current / "www/core:/stable:/v1.36/deb/amd64" / package.name
    assert published.stat().st_size == size


def test_a_published_file_that_is_gone_comes_back(builder: Build, mirror: Mirror, notes: Notes) -> None:
    builder.ensure("1.36", ["flannel-manifest"])
    manifest = mirror.current / "www/files/flannel/v0.28.4/kube-flannel.yml"
    manifest.unlink()
    builder.ensure("1.36", ["flannel-manifest"])
    assert manifest.is_file()
    assert any("kube-flannel.yml is missing" in note for note in notes.notes)


def test_damaged_programs_of_the_server_are_made_again(
    builder: Build, mirror: Mirror, small_builders: list[str]
) -> None:
    builder.ensure("1.36", ["pause"])
    key = mirror.server()
    assert key
    os.truncate(mirror.store.path(key) / "file", 0)
    small_builders.clear()
    builder.ensure("1.36", ["pause"])
    assert small_builders == ["server"]
    assert mirror.store.damage(key, thorough=True) is None


def test_a_failure_keeps_what_was_finished_and_the_next_run_goes_on(
    builder: Build, mirror: Mirror, small_builders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = build.builders.make

    def failing(step: Step, *rest: object) -> None:
        if step.name == "kubectl":
            raise MirrorError("the compiler said no")
        make(step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(build.builders, "make", failing)
    with pytest.raises(MirrorError, match="the compiler said no"):
        builder.ensure("1.36", ["kubectl"])
    assert mirror.entries() == []
    assert "go-kubernetes" in small_builders
    monkeypatch.setattr(build.builders, "make", make)
    small_builders.clear()
    builder.ensure("1.36", ["kubectl"])
    assert "go-kubernetes" not in small_builders
    assert _names(mirror) == {"kubectl"}


def test_a_full_disk_met_on_the_way_is_one_message(
    builder: Build, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr(build.builders, "make", full)
    with pytest.raises(MirrorError, match=r"The disk is full: /some/file could not be written\. Nothing finished"):
        builder.ensure("1.36", ["pause"])


def test_too_small_a_disk_is_refused_beforehand(
    builder: Build, small_builders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MirrorError, match=r"Not enough room .* GB are needed, 0\.1 GB are free\. Nothing was changed"):
        builder.ensure("1.36", ["kubectl"])
    assert small_builders == []


def test_an_unknown_component_stops_before_anything(builder: Build, mirror: Mirror) -> None:
    with pytest.raises(MirrorError, match="perhaps kubectl"):
        builder.ensure("1.36", ["kubect"])
    assert not mirror.root.exists()


def test_another_system_than_debian_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.platform, "freedesktop_os_release", lambda: {"ID": "fedora"})
    with pytest.raises(MirrorError, match=r"this is fedora.*kubestead mirror sync"):
        debian.require_debian()


def test_missing_tools_without_root_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MirrorError, match="needs these Debian packages: no-such-package"):
        debian.install(["dpkg", "no-such-package"], tmp_path / "log")


def test_the_index_tells_what_is_there_and_not_how_it_is_stored(builder: Build, mirror: Mirror) -> None:
    builder.ensure("1.36", ["pause"])
    index = json.loads((mirror.current / "www/index.json").read_text())
    assert index["components"] == [
        {
            "minor": "1.36",
            "name": "pause",
            "kind": "image",
            "reference": "registry.k8s.io/pause:3.10.2",
            "origin": "built",
        }
    ]
    assert index["signing_key"] == mirror.key.fingerprint


def _step(name: str, *inputs: Step, seconds: int = 1, memory: int = 1) -> Step:
    return Step("base", name, {}, {i.name: i for i in inputs}, seconds=seconds, memory=memory)


def _by_key(*steps: Step) -> dict[str, Step]:
    return {step.key: step for step in steps}


def test_urgency_is_the_length_of_the_chain_that_follows() -> None:
    first, other = _step("first", seconds=10), _step("other", seconds=12)
    last = _step("last", first, seconds=5)
    found = urgency(_by_key(first, other, last))
    assert [found[step.key] for step in (first, other, last)] == [15, 12, 5]


def test_a_step_starts_after_its_inputs(notes: Notes) -> None:
    first = _step("first")
    last = _step("last", first)
    made: list[str] = []
    Executor(_by_key(first, last), lambda step: made.append(step.name), notes).run()
    assert made == ["first", "last"]


def test_two_that_do_not_fit_into_memory_run_one_after_the_other(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "available_memory", lambda: 1000)
    running = threading.Semaphore(1)

    def make(step: Step) -> None:
        assert running.acquire(blocking=False), "two at once"
        running.release()

    Executor(_by_key(_step("a", memory=600), _step("b", memory=600), _step("c", memory=2000)), make, notes).run()
    assert sorted(notes.done) == ["a", "b", "c"]


def test_a_repository_is_signed_with_the_mirrors_own_key(builder: Build, mirror: Mirror, tmp_path: Path) -> None:
    builder.ensure("1.36", ["kubectl", "containerd.io"])
    www = mirror.current / "www"
    for key, release in (
        ("core:/stable:/v1.36/deb/Release.key", "core:/stable:/v1.36/deb/InRelease"),
        ("linux/debian/gpg", "linux/debian/dists/bookworm/InRelease"),
    ):
        keyring = tmp_path / "keyring.gpg"
        keyring.unlink(missing_ok=True)
        run(["gpg", "--batch", "--output", keyring, "--dearmor", www / key])
        signed = run(["gpgv", "--keyring", keyring, "--output", "-", www / release])
        assert "Packages" in signed
        run(
            [
                "gpgv",
                "--keyring",
                keyring,
                (www / release).with_name("Release.gpg"),
                (www / release).with_name("Release"),
            ]
        )
    assert mirror.key.home.stat().st_mode & 0o777 == 0o700
    assert "Filename: amd64/kubectl_1.36.4-1.1_amd64.deb" in (www / "core:/stable:/v1.36/deb/Packages").read_text()
    listed = (www / "linux/debian/dists/bookworm/stable/binary-amd64/Packages").read_text()
    (place,) = [line.split()[1] for line in listed.splitlines() if line.startswith("Filename:")]
    assert (www / "linux/debian" / place).is_file()


def test_the_key_stays_the_same(builder: Build, mirror: Mirror) -> None:
    builder.ensure("1.36", ["kubectl"])
    before = mirror.key.fingerprint
    builder.ensure("1.36", ["kubeadm"])
    assert mirror.key.fingerprint == before


def test_readers_see_the_old_tree_until_the_new_one_is_whole(
    builder: Build, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.ensure("1.36", ["pause"])
    before = (mirror.current / "www/index.json").read_text()

    def broken(*_: object) -> None:
        raise MirrorError("half-way")

    monkeypatch.setattr("kubestead.mirror.publish._index", broken)
    with pytest.raises(MirrorError, match="half-way"):
        builder.ensure("1.36", ["flannel-manifest"])
    assert (mirror.current / "www/index.json").read_text() == before
    assert len(list((mirror.root / "trees").iterdir())) == 1
