from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from kubestead.cli.mirror import app
from kubestead.mirror.build import Build
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.publish import Mirror
from kubestead.mirror.status import clean, status

from .conftest import Notes, needs_apt_tools

pytestmark = needs_apt_tools


@pytest.fixture
def filled(catalogue: Catalogue, mirror: Mirror, notes: Notes, small_builders: list[str]) -> Mirror:
    Build(catalogue, mirror, notes).ensure("1.36", ["kubectl", "pause"])
    return mirror


@pytest.fixture
def at_home(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(mirror.root.parents[1]))


def test_an_empty_mirror_says_how_to_fill_it(at_home: None) -> None:
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 0
    assert "is empty. Fill it: kubestead mirror build" in result.output


def test_a_sound_mirror_is_verified(filled: Mirror, at_home: None) -> None:
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 0
    assert result.output.count("verified") == 2
    assert filled.key.fingerprint in result.output


def test_damage_is_shown_and_changes_the_exit_code(filled: Mirror, at_home: None) -> None:
    entry = next(entry for entry in filled.entries() if entry.name == "kubectl")
    (package,) = filled.store.path(entry.key).glob("*.deb")
    os.truncate(package, 1)
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["sound"] is False
    assert [part["name"] for part in found["components"] if part["damage"]] == ["kubectl"]


def test_clean_keeps_what_is_published(filled: Mirror, notes: Notes) -> None:
    names = [key.rpartition("-")[0] for key in filled.store.artefacts()]
    assert "go-kubernetes" in names
    assert clean(filled, notes.note, everything=False) > 0
    left = [key.rpartition("-")[0] for key in filled.store.artefacts()]
    assert sorted(left) == ["kubectl", "pause", "server"]
    assert status(filled).sound


def test_nothing_published_is_built_again_after_clean(
    catalogue: Catalogue, filled: Mirror, notes: Notes, small_builders: list[str]
) -> None:
    clean(filled, notes.note, everything=False)
    small_builders.clear()
    Build(catalogue, filled, notes).ensure("1.36", ["kubectl", "pause"])
    assert small_builders == []


def test_clean_all_leaves_nothing(filled: Mirror, at_home: None) -> None:
    result = CliRunner().invoke(app, ["clean", "--all"])
    assert result.exit_code == 0
    assert not filled.root.exists()
    assert CliRunner().invoke(app, ["clean"]).exit_code == 0


def test_mistakes_are_one_message_and_exit_code_1(at_home: None) -> None:
    result = CliRunner().invoke(app, ["build", "--kubernetes", "1.29"])
    assert result.exit_code == 1
    assert result.output.strip() == "Kubernetes 1.29 is not in the catalogue. It has: 1.35, 1.36, 1.37."
