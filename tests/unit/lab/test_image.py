from __future__ import annotations

from pathlib import Path

import pytest

from kubestead.lab import image
from kubestead.lab.engine import Docker
from kubestead.lab.image import Recipe, debian_sources, one_line_to_deb822

from .conftest import FakeDocker, machine_of

BOOKWORM = """\
# The distribution
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://other.example/apt
Suites: stable
Components: main
"""


def test_the_machines_own_mirror_serves_the_nodes() -> None:
    sources = debian_sources(BOOKWORM, "bookworm")
    assert sources.count("URIs: http://mirror.example/debian\n") == 1
    assert "Suites: bookworm-security" in sources
    assert "other.example" not in sources


def test_on_a_newer_debian_the_suites_are_turned_back() -> None:
    sources = debian_sources(BOOKWORM.replace("bookworm", "trixie"), "trixie")
    assert "Suites: bookworm bookworm-updates" in sources
    assert "trixie" not in sources


def test_a_disabled_source_is_left_alone() -> None:
    assert (
        debian_sources(f"Enabled: no\n{BOOKWORM.split('# The distribution')[1].lstrip()}".split("\n\n")[0], "bookworm")
        == ""
    )


def test_security_alone_is_no_release() -> None:
    assert debian_sources(BOOKWORM.split("\n\n")[1], "bookworm") == ""


def test_one_line_sources_count_as_well() -> None:
    lines = (
        "# deb http://no.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n"
    )
    stanza = one_line_to_deb822(lines)
    assert (
        stanza
        == "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\nSigned-By: /k.gpg"
    )
    assert "Suites: bookworm\nComponents: main\n" in debian_sources(stanza, "bookworm")


def test_both_ways_to_a_base_install_the_same_packages() -> None:
    own, upstream = Recipe("x86_64", sources="Types: deb"), Recipe("x86_64")
    assert own.tag == upstream.tag
    assert own.dockerfile().splitlines()[1] == f"FROM kubestead-lab-base:{own.digest}"
    assert "FROM debian:12" in upstream.dockerfile().splitlines()
    assert all(f" {package} " in upstream.dockerfile() for package in image.PACKAGES)
    assert "apt-get" not in own.dockerfile()


def test_each_change_of_the_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    digests = {Recipe("x86_64").digest, Recipe("aarch64").digest}
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "nano"))
    digests.add(Recipe("x86_64").digest)
    for path in image.FILES.iterdir():
        (tmp_path / path.name).write_text(path.read_text() + "# changed\n")
    monkeypatch.setattr(image, "FILES", tmp_path)
    digests.add(Recipe("x86_64").digest)
    assert len(digests) == 4


def test_only_root_on_debian_builds_with_mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_apt_sources", lambda: BOOKWORM)
    assert image.recipe(machine_of(root=True, codename="bookworm")).sources
    assert not image.recipe(machine_of(root=False, codename="bookworm")).sources
    assert not image.recipe(machine_of(root=True, distribution="ubuntu", codename="noble")).sources


def test_an_image_that_the_engine_has_is_not_built_again(fake_docker: FakeDocker) -> None:
    wanted = Recipe("x86_64")
    wanted.file.parent.mkdir(parents=True)
    wanted.file.write_text("saved")
    fake_docker.answer("image", "inspect", text='[{"Id": "sha256:1"}]')
    assert image.ensure(Docker(), wanted, print) == wanted.tag
    assert {call[0] for call in fake_docker.calls()} == {"image"}


def test_a_damaged_copy_in_the_cache_leads_to_a_build(fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Recipe("x86_64")
    wanted.file.parent.mkdir(parents=True)
    wanted.file.write_text("cut sho")
    fake_docker.answer("image", "inspect", code=1, text="Error: No such image")
    fake_docker.answer("load", code=1, text="unexpected EOF")
    built: list[Recipe] = []
    monkeypatch.setattr(image, "_build", lambda docker, recipe: built.append(recipe))
    monkeypatch.setattr(image, "_save", lambda docker, recipe: None)
    image.ensure(Docker(), wanted, print)
    assert built == [wanted]
    assert not wanted.file.exists()


def test_what_a_killed_build_left_is_swept_away(fake_docker: FakeDocker, tmp_path: Path) -> None:
    leftover = tmp_path / "cache/kubestead/lab/scratch/base.tar"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    wanted = Recipe("x86_64")
    wanted.file.parent.mkdir(parents=True)
    wanted.file.write_text("saved")
    fake_docker.answer("image", "inspect", text='[{"Id": "sha256:1"}]')
    image.ensure(Docker(), wanted, print)
    assert not leftover.exists()
