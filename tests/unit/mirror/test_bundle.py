"""A mirror carried over an air gap in one file."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.mirror import app
from kubestead.mirror import bundle, debian
from kubestead.mirror.build import Build
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.publish import Mirror
from kubestead.mirror.status import status

from .conftest import Notes, needs_apt_tools

pytestmark = needs_apt_tools


@pytest.fixture
def filled(catalogue: Catalogue, mirror: Mirror, notes: Notes, small_builders: list[str]) -> Mirror:
    Build(catalogue, mirror, notes).ensure("1.36", ["kubectl", "pause"])
    Build(catalogue, mirror, notes).ensure("1.37", ["kubectl"])
    return mirror


@pytest.fixture
def other(tmp_path: Path) -> Mirror:
    """The mirror of the machine on the other side."""
    return Mirror(tmp_path / "other/kubestead/mirror")


@pytest.fixture
def file(filled: Mirror, tmp_path: Path, notes: Notes) -> Path:
    path = tmp_path / "bundle.tar.gz"
    bundle.write(filled, path, [], notes)
    return path


@pytest.fixture
def altered(file: Path) -> Callable[[Callable[[str, bytes], bytes]], Path]:
    """The bundle with its files passed through a function, and packed again without a flaw."""

    def alter(change: Callable[[str, bytes], bytes]) -> Path:
        changed = file.with_name("altered.tar.gz")
        with tarfile.open(file) as source, tarfile.open(changed, "w:gz") as target:
            for member in source:
                read = source.extractfile(member)
                assert read
                content = change(member.name, read.read())
                member.size = len(content)
                target.addfile(member, io.BytesIO(content))
        return changed

    return alter


def heads(**changes: Any) -> Callable[[str, bytes], bytes]:
    """Changes keys of the head."""
    return lambda name, content: (
        json.dumps({**json.loads(content), **changes}).encode() if name == "bundle.json" else content
    )


def test_what_one_machine_serves_another_serves_with_a_key_of_its_own(
    catalogue: Catalogue, filled: Mirror, other: Mirror, file: Path, notes: Notes
) -> None:
    bundle.load(other, catalogue, file, notes)
    assert other.entries() == filled.entries()
    assert status(other).sound
    assert other.key.fingerprint != filled.key.fingerprint
    package = "www/core:/stable:/v1.36/deb/amd64/kubectl_1.36.4-1.1_amd64.deb"
    assert (other.current / package).read_bytes() == (filled.current / package).read_bytes()
    assert not [path for path in other.root.rglob("*") if "scratch" in path.name or path.parent.name == "unfinished"]


def test_loading_twice_changes_nothing_and_what_was_there_stays(
    catalogue: Catalogue, filled: Mirror, file: Path, other: Mirror, notes: Notes, tmp_path: Path
) -> None:
    small = tmp_path / "small.tar.gz"
    bundle.write(filled, small, ["1.37"], notes)
    assert {entry.minor for entry in bundle.load(other, catalogue, small, notes).entries} == {"1.37"}
    bundle.load(other, catalogue, file, notes)
    bundle.load(other, catalogue, small, notes)
    assert other.entries() == filled.entries()


def test_a_minor_that_the_mirror_lacks_is_named(filled: Mirror, tmp_path: Path, notes: Notes) -> None:
    with pytest.raises(MirrorError, match=r"holds nothing of Kubernetes 1\.35.*mirror sync --kubernetes 1\.35"):
        bundle.write(filled, tmp_path / "b", ["1.36", "1.35"], notes)
    assert not (tmp_path / "b").exists()


def test_a_damaged_artefact_goes_into_no_bundle(filled: Mirror, tmp_path: Path, notes: Notes) -> None:
    entry = next(entry for entry in filled.entries() if entry.name == "kubectl")
    (package,) = filled.store.path(entry.key).glob("*.deb")
    package.write_bytes(b"")
    with pytest.raises(MirrorError, match="is damaged"):
        bundle.write(filled, tmp_path / "b", [], notes)
    assert list(tmp_path.glob("*b*.partial")) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_bundle_that_was_cut_short_changes_nothing(
    catalogue: Catalogue, other: Mirror, file: Path, notes: Notes, share: float
) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MirrorError, match=r"cut short or altered|is no bundle"):
        bundle.load(other, catalogue, file, notes)
    assert other.entries() == []
    assert other.store.artefacts() == []


def test_other_files_are_no_bundles(catalogue: Catalogue, other: Mirror, notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="There is no file"):
        bundle.load(other, catalogue, tmp_path / "nothing", notes)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(MirrorError, match="cannot be read"):
        bundle.load(other, catalogue, tmp_path / "text", notes)
    with tarfile.open(tmp_path / "tar", "w:gz") as target:
        target.add(tmp_path / "text", "text")
    with pytest.raises(MirrorError, match="is no bundle"):
        bundle.load(other, catalogue, tmp_path / "tar", notes)
    (tmp_path / "compressed").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(MirrorError, match="cannot be read"):
        bundle.load(other, catalogue, tmp_path / "compressed", notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"catalogue": "0" * 64, "kubestead": "9.9"}, "made by Kubestead 9.9 from another catalogue"),
        ({"architecture": "s390x"}, "was made for s390x"),
        ({"format": 2}, "does not know"),
    ],
)
def test_a_bundle_for_another_place_is_refused_with_the_reason(
    catalogue: Catalogue, other: Mirror, notes: Notes, altered: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MirrorError, match=re.escape(message)):
        bundle.load(other, catalogue, altered(heads(**changes)), notes)
    assert other.store.artefacts() == []


def test_a_file_that_was_exchanged_is_found(catalogue: Catalogue, other: Mirror, notes: Notes, altered: Any) -> None:
    changed = altered(lambda name, content: content + b"x" if name.endswith(".deb") else content)
    with pytest.raises(MirrorError, match="does not match its checksum"):
        bundle.load(other, catalogue, changed, notes)
    assert other.store.artefacts() == []


def test_no_file_leaves_the_folder(
    catalogue: Catalogue, other: Mirror, notes: Notes, file: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(file) as source, tarfile.open(evil, "w:gz") as target:
        head = source.next()
        assert head
        target.addfile(head, source.extractfile(head))
        stranger = tarfile.TarInfo("../../stranger")
        target.addfile(stranger, io.BytesIO())
    with pytest.raises(MirrorError, match="belongs in no bundle"):
        bundle.load(other, catalogue, evil, notes)
    assert not list(tmp_path.rglob("stranger"))


def test_too_little_room_is_said_before(
    catalogue: Catalogue, other: Mirror, file: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch, altered: Any
) -> None:
    with pytest.raises(MirrorError, match="Not enough room"):
        bundle.load(other, catalogue, altered(heads(size=10**18)), notes)


def test_the_commands(filled: Mirror, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(filled.root.parents[1]))
    target = tmp_path / "1.36.tar.gz"
    done = CliRunner().invoke(app, ["bundle", str(target), "--kubernetes", "1.36"])
    assert done.exit_code == 0, done.output
    assert "holds 2 components of Kubernetes 1.36" in done.output
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    done = CliRunner().invoke(app, ["load", str(target)])
    assert done.exit_code == 0, done.output
    assert "The mirror holds 2 components of Kubernetes 1.36. Next: kubestead mirror serve" in done.output
    done = CliRunner().invoke(app, ["load", str(tmp_path / "nothing")])
    assert (done.exit_code, "There is no file" in done.output) == (1, True)


def test_the_architecture_is_this_machine_s(file: Path) -> None:
    with tarfile.open(file) as source:
        read = source.extractfile("bundle.json")
        assert read
        assert json.loads(read.read())["architecture"] == debian.architecture()
