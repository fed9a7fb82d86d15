from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app

from .conftest import FakeRuns

MEMBER: dict[str, Any] = {
    "name": "control-plane-1",
    "id": "3e9",
    "addresses": ["192.0.2.11"],
    "learner": False,
    "leader": True,
    "version": "3.6.8",
    "size": 41943040,
    "in_use": 5000,
    "quota": 2147483648,
    "alarms": [],
    "error": "",
}
TAKEN = {"file": "/backups/etcd-2026-11-21T12-30-00Z.db", "revision": 304}


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "etcd.db"
    path.touch()
    return path


def test_a_backup_says_where_it_is(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.data = {"etcd_backup": TAKEN}
    result = cli.invoke(app, ["etcd", "backup", "-i", "prod"])
    assert result.exit_code == 0
    assert result.stdout.endswith(f"\n{TAKEN['file']}\n")
    assert (runs.calls[-1][0], runs.options["extra_vars"]) == ("etcd_backup", {})


def test_a_backup_to_a_folder_of_ones_choice_from_the_one_that_is_left(
    cli: CliRunner, runs: FakeRuns, inventory: Path, tmp_path: Path
) -> None:
    result = cli.invoke(app, ["etcd", "backup", "-i", "prod", "--to", "mine", "--from", "cp-2", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"]
    assert runs.options["extra_vars"] == {"etcd_backup_directory": str(tmp_path / "mine"), "etcd_backup_from": "cp-2"}


def test_a_restore_asks_for_the_name(
    cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None, snapshot: Path
) -> None:
    result = cli.invoke(app, ["etcd", "restore", "etcd.db", "-i", "prod"], input="prod\n")
    assert result.exit_code == 0
    assert "This sets the cluster prod back to what the snapshot holds, and what came later is lost." in result.stderr
    assert runs.calls[-1][0] == "etcd_restore"
    assert runs.options["extra_vars"] == {"etcd_restore_snapshot": str(snapshot), "etcd_restore_confirm": "prod"}


def test_another_name_stops_it(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None, snapshot: Path) -> None:
    result = cli.invoke(app, ["etcd", "restore", "etcd.db", "-i", "prod"], input="production\n")
    assert result.exit_code == 1
    assert "'production' is not the name of this cluster. Nothing was changed." in result.stderr
    assert runs.calls == []


def test_without_a_terminal_a_restore_says_what_to_type(
    cli: CliRunner, runs: FakeRuns, inventory: Path, snapshot: Path
) -> None:
    result = cli.invoke(app, ["etcd", "restore", "etcd.db", "-i", "prod"])
    assert result.exit_code == 2
    assert "with --yes, or with: -- -e etcd_restore_confirm=prod" in result.stderr
    assert cli.invoke(app, ["etcd", "restore", "etcd.db", "-i", "prod", "--yes"]).exit_code == 0
    assert runs.options["extra_vars"]["etcd_restore_confirm"] == "prod"


def test_a_snapshot_that_is_not_there_is_a_wrong_command_line(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["etcd", "restore", "etcd.db", "-i", "prod", "--yes"]).exit_code == 2
    assert runs.calls == []


def test_members_that_are_well(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.data = {"etcd": {"members": [MEMBER], "errors": []}}
    result = cli.invoke(app, ["etcd", "status", "-i", "prod"])
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("control-plane-1")]
    assert line.split() == [
        *("control-plane-1", "3e9", "192.0.2.11", "leader", "3.6.8", "40.0", "MiB", "4.9", "KiB"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"error": "timed out"}, "control-plane-1: timed out"),
        ({"alarms": ["NOSPACE"]}, "control-plane-1 has raised the alarm NOSPACE"),
        ({"learner": True, "name": ""}, "3e9 has no vote yet"),
    ],
)
def test_a_member_that_is_not_well(
    cli: CliRunner, runs: FakeRuns, inventory: Path, change: dict[str, Any], said: str
) -> None:
    runs.data = {"etcd": {"members": [{**MEMBER, **change}], "errors": []}}
    result = cli.invoke(app, ["etcd", "status", "-i", "prod"])
    assert result.exit_code == 1
    assert f"- {said}\n" in result.stdout
    document = json.loads(cli.invoke(app, ["etcd", "status", "-i", "prod", "--json"]).stdout)
    assert (document["healthy"], document["problems"]) == (False, [said])


def test_no_answer_is_told_with_its_reason(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.data = {"etcd": {"members": [], "errors": ["No member of etcd answers."]}}
    result = cli.invoke(app, ["etcd", "status", "-i", "prod"])
    assert (result.exit_code, "- No member of etcd answers.\n" in result.stdout) == (1, True)
    runs.data = {}
    result = cli.invoke(app, ["etcd", "status", "-i", "prod"])
    assert (result.exit_code, "- no control plane gave an answer\n" in result.stdout) == (1, True)


def test_defragmentation_tells_what_it_gave_back(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.data = {"etcd": {"members": [MEMBER], "errors": [], "freed": 3 * 1024**3, "disarmed": []}}
    result = cli.invoke(app, ["etcd", "defragment", "-i", "prod"])
    assert result.exit_code == 0
    assert "3.0 GiB were given back." in result.stdout
    assert runs.calls[-1][0] == "etcd_defragment"
