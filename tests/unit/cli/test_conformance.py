from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app
from kubestead.runs import PhaseTime, RunResult

from .conftest import FakeRuns

FOUND = {"suite": "quick", "passed": True, "counts": {"total": 32, "passed": 32, "failed": 0}}


@pytest.fixture
def suite(runs: FakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    """Runs that leave a record, and the files of a suite where they are told to, as the playbook does."""
    runs.data = {"conformance": FOUND}

    def run(playbook: str, inventory: Path, **options: Any) -> RunResult:
        result = runs(playbook, inventory, **options)
        folder = Path(options["extra_vars"].get("conformance_folder", tmp_path / "nowhere"))
        if options["extra_vars"].get("conformance_clean"):
            return replace(result, ok=True, rc=0)
        folder.mkdir(exist_ok=True)
        (folder / "junit_01.xml").write_text("<testsuites/>", encoding="utf-8")
        (tmp_path / "record").mkdir(exist_ok=True)
        return replace(result, record=tmp_path / "record", phases=[PhaseTime("Conformance", 9.0, 0)])

    monkeypatch.setattr("kubestead.runs.run_playbook", run)
    return runs


def test_the_quick_specs_are_the_default_and_the_results_go_to_the_record(
    cli: CliRunner, suite: FakeRuns, inventory: Path, tmp_path: Path
) -> None:
    result = cli.invoke(app, ["conformance", "-i", "prod", "--time-limit", "10m"])
    assert result.exit_code == 0, result.output
    assert suite.calls[-1][0] == "conformance"
    shown = {"conformance_suite": "quick", "conformance_timeout": 600}
    assert suite.options["shown_vars"] == shown, "a folder that is gone afterwards is no part of the line that is shown"
    assert {**suite.options["extra_vars"], **shown} == suite.options["extra_vars"]
    place = tmp_path / "record/conformance"
    assert f"Results: {place}" in result.stdout
    assert {path.name for path in place.iterdir()} == {"junit_01.xml", "conformance.json"}
    assert json.loads((place / "conformance.json").read_text(encoding="utf-8"))["counts"]["total"] == 32


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--quick"], {"conformance_suite": "quick"}),
        (["--certified"], {"conformance_suite": "certified"}),
        (["--focus", "sig-network.*DNS"], {"conformance_focus": "sig-network.*DNS"}),
        (["--clean"], {"conformance_clean": True}),
    ],
)
def test_what_is_to_be_run(
    cli: CliRunner, suite: FakeRuns, inventory: Path, words: list[str], variables: dict[str, Any]
) -> None:
    result = cli.invoke(app, ["conformance", "-i", "prod", *words])
    assert result.exit_code == 0, result.output
    assert suite.options["shown_vars"] == variables


def test_a_folder_of_the_users_own(cli: CliRunner, suite: FakeRuns, inventory: Path, tmp_path: Path) -> None:
    result = cli.invoke(app, ["conformance", "-i", "prod", "--results", "found", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["results"] == "found"
    assert document["data"]["conformance"] == FOUND
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"junit_01.xml", "conformance.json"}
    assert suite.options["extra_vars"]["conformance_folder"] == str(tmp_path / "found")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--quick", "--certified"], "give one of"),
        (["--focus", "a("], "no regular expression"),
        (["--focus", " "], "a part of the specs' names"),
        (["--time-limit", "soon"], "--time-limit: 'soon' is no time"),
    ],
)
def test_a_wrong_command_line(cli: CliRunner, suite: FakeRuns, inventory: Path, words: list[str], told: str) -> None:
    result = cli.invoke(app, ["conformance", "-i", "prod", *words])
    assert result.exit_code == 2
    assert told in result.stderr
    assert suite.calls == []


def test_a_suite_that_is_stopped_is_taken_out_of_the_cluster(cli: CliRunner, suite: FakeRuns, inventory: Path) -> None:
    suite.rc = 130
    result = cli.invoke(app, ["conformance", "-i", "prod"])
    assert result.exit_code == 130
    assert [call[2]["extra_vars"].get("conformance_clean") for call in suite.calls] == [None, True]
    assert "Taking the conformance suite out" in result.stderr


def test_failed_specs_end_with_1_and_leave_nothing_to_take_away(
    cli: CliRunner, suite: FakeRuns, inventory: Path
) -> None:
    suite.rc = 2
    assert cli.invoke(app, ["conformance", "-i", "prod"]).exit_code == 1
    assert len(suite.calls) == 1


def test_a_rebuild_may_end_with_it(cli: CliRunner, suite: FakeRuns, inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    (tmp_path / "record/run.json").write_text("{}", encoding="utf-8")
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--conformance", "quick"])
    assert suite.options["shown_vars"] == {"reset_confirm": "prod", "rebuild_conformance": "quick"}
    assert f"Conformance: {tmp_path / 'record/conformance'}" in result.stdout
