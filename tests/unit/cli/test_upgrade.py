from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubestead.cli import upgrade
from kubestead.cli.main import app

from .conftest import FakeRuns

ROOT = Path(__file__).parents[3]


def test_the_inventory_names_the_release(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["upgrade", "-i", "prod"])
    assert result.exit_code == 0
    assert runs.calls[-1][0] == "upgrade"
    assert runs.options["extra_vars"] == {}
    assert "cluster_kubernetes_version" not in result.stderr


def test_a_named_release_is_to_be_written_into_the_inventory(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["upgrade", "1.37", "-i", "prod", "--batch", "25%"])
    assert result.exit_code == 0
    assert runs.options["extra_vars"] == {"cluster_kubernetes_version": "1.37", "upgrade_batch": "25%"}
    assert 'Write cluster_kubernetes_version: "1.37" into it now' in result.stderr
    assert 'says cluster_kubernetes_version: "1.36"' in result.stderr


@pytest.mark.parametrize("said", ['"1.37"', "1.37", '"{{ minor }}"'])
def test_a_release_that_the_inventory_may_name_too_needs_no_reminder(
    cli: CliRunner, runs: FakeRuns, inventory: Path, said: str
) -> None:
    (inventory / "group_vars/all/cluster.yml").write_text(f"cluster_kubernetes_version: {said}\n", encoding="utf-8")
    result = cli.invoke(app, ["upgrade", "1.37.1", "-i", "prod"])
    assert result.exit_code == 0
    assert "into it now" not in result.stderr


@pytest.mark.parametrize("batch", ["0", "200%", "0%", "two", "-1", ""])
def test_a_batch_that_is_none_is_a_wrong_command_line(
    cli: CliRunner, runs: FakeRuns, inventory: Path, batch: str
) -> None:
    result = cli.invoke(app, ["upgrade", "-i", "prod", f"--batch={batch}"])
    assert result.exit_code == 2
    assert "1 or more, or a share" in result.output
    assert runs.calls == []


@pytest.mark.parametrize(
    ("batch", "taken"), [("1", True), ("100%", True), ("101%", False), ("0", False), ("07%", False)]
)
def test_the_playbook_and_the_command_agree_on_what_a_batch_is(batch: str, taken: bool) -> None:
    (said,) = re.findall(r"is match\('\^\((.*)\)\$'\)", (ROOT / "playbooks/upgrade.yml").read_text(encoding="utf-8"))
    assert said == upgrade._BATCH.pattern
    assert bool(upgrade._BATCH.fullmatch(batch)) is taken


def test_a_refused_upgrade_asks_for_no_change_of_the_inventory(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.rc, runs.changes = 2, 0
    result = cli.invoke(app, ["upgrade", "1.38", "-i", "prod"])
    assert result.exit_code == 1
    assert "into it now" not in result.stderr


def test_what_stands_behind_the_dashes_goes_on(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    cli.invoke(app, ["upgrade", "-i", "prod", "--limit", "worker-1", "--", "--forks", "2"])
    assert runs.options["passthrough"] == ("--forks", "2")
    assert runs.options["limit"] == "worker-1"
