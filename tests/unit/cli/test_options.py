"""How a verb finds its inventory, what it hands on, and what it answers to a command line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app
from kubestead.runs.lock import claim

from .conftest import FakeRuns

VERBS = ("validate", "plan", "apply", "status", "smoke", "kubeconfig", "reset")


def test_the_inventory_of_the_command_line_comes_first(
    cli: CliRunner, runs: FakeRuns, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESTEAD_INVENTORY", str(inventory.parent))
    monkeypatch.chdir(inventory)
    assert cli.invoke(app, ["apply", "-i", str(inventory)]).exit_code == 0
    assert runs.calls[-1][:2] == ("site", inventory)


def test_then_that_of_the_environment(
    cli: CliRunner, runs: FakeRuns, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESTEAD_INVENTORY", str(inventory))
    assert cli.invoke(app, ["smoke"]).exit_code == 0
    assert runs.calls[-1][:2] == ("smoke", inventory)


def test_then_the_current_folder(
    cli: CliRunner, runs: FakeRuns, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inventory)
    assert cli.invoke(app, ["validate"]).exit_code == 0
    assert runs.calls[-1][:2] == ("validate", Path())


@pytest.mark.parametrize("verb", VERBS)
def test_without_one_all_three_ways_are_told(cli: CliRunner, runs: FakeRuns, inventory: Path, verb: str) -> None:
    result = cli.invoke(app, [verb])
    assert result.exit_code == (1 if verb == "plan" else 2)
    for way in ("--inventory FOLDER", "export KUBESTEAD_INVENTORY=FOLDER", "cd FOLDER", "kubestead init"):
        assert way in result.stderr
    assert runs.calls == []


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_is_not_there_is_named(
    cli: CliRunner, runs: FakeRuns, inventory: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("KUBESTEAD_INVENTORY", "nowhere")
    result = cli.invoke(app, [verb])
    assert result.exit_code == (1 if verb == "plan" else 2)
    assert "nowhere" in result.stderr
    assert "KUBESTEAD_INVENTORY" in result.stderr


def test_everything_is_handed_on(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    words = [
        "--limit",
        "worker-1",
        "--tags",
        "prepare",
        "--tags",
        "join",
        "--start-at",
        "prepare",
        "--",
        "--forks",
        "2",
        "-v",
    ]
    assert cli.invoke(app, ["apply", "-i", "prod", *words]).exit_code == 0
    assert runs.options["limit"] == "worker-1"
    assert runs.options["tags"] == ("prepare", "join")
    assert runs.options["start_at"] == "prepare"
    assert runs.options["passthrough"] == ("--forks", "2", "-v")


@pytest.mark.parametrize("verb", VERBS)
def test_options_of_ansible_stand_behind_two_dashes(cli: CliRunner, runs: FakeRuns, inventory: Path, verb: str) -> None:
    for words, message in ((["--forks", "2"], "No such option"), (["worker-1"], "unexpected extra argument")):
        result = cli.invoke(app, [verb, "-i", "prod", *words])
        assert result.exit_code == (1 if verb == "plan" else 2)
        assert message in result.stderr
        assert "[-- OPTIONS OF ansible-playbook]" in result.stderr
    assert runs.calls == []


def test_a_phase_that_there_is_not(cli: CliRunner, inventory: Path) -> None:
    for verb, code in (("apply", 2), ("plan", 1)):
        result = cli.invoke(app, [verb, "-i", "prod", "--start-at", "nonsense"])
        assert result.exit_code == code
        assert "there is no phase 'nonsense'; the phases are validate, preflight" in result.stderr


@pytest.mark.parametrize("option", ["-K", "--ask-become-pass", "-k", "--ask-vault-password"])
def test_a_password_is_not_asked_for_where_nobody_sees_the_question(
    cli: CliRunner, inventory: Path, option: str
) -> None:
    result = cli.invoke(app, ["apply", "-i", "prod", "--", option])
    assert result.exit_code == 2
    assert f"{option} would ask where nobody sees it" in result.stderr


def test_an_empty_inventory_is_found_by_validation(cli: CliRunner, inventory: Path) -> None:
    (inventory / "hosts.yml").write_text("", encoding="utf-8")
    result = cli.invoke(app, ["apply", "-i", "prod", "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert "holds no host" in document["failures"][0]["message"]


def test_json_is_one_document_and_progress_goes_elsewhere(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["apply", "-i", "prod", "--json"])
    document = json.loads(result.stdout)
    assert document["ok"]
    assert document["hosts"] == {"worker-1": {"ok": 3, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 0}}
    assert document["phases"] == [{"name": "verify", "seconds": 1.0, "changed": 1}]
    assert "phase verify" in result.stderr


@pytest.mark.parametrize(("rc", "code"), [(0, 0), (2, 1), (4, 1), (250, 1), (130, 130)])
def test_exit_codes(cli: CliRunner, runs: FakeRuns, inventory: Path, rc: int, code: int) -> None:
    runs.rc = rc
    assert cli.invoke(app, ["apply", "-i", "prod"]).exit_code == code


@pytest.mark.parametrize("words", [["apply"], ["smoke"], ["run", "site"], ["reset", "--yes"]])
def test_a_cluster_that_somebody_changes_already(cli: CliRunner, inventory: Path, words: list[str]) -> None:
    with claim(inventory, "ansible-playbook kubestead.cluster.site"):
        result = cli.invoke(app, [*words, "-i", "prod"])
    assert result.exit_code == 3
    assert "is being changed already, by " in result.stderr
    assert "ansible-playbook kubestead.cluster.site" in result.stderr
