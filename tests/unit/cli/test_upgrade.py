from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app

from .conftest import FakeRuns


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


def test_a_refused_upgrade_asks_for_no_change_of_the_inventory(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.rc, runs.changes = 2, 0
    result = cli.invoke(app, ["upgrade", "1.38", "-i", "prod"])
    assert result.exit_code == 1
    assert "into it now" not in result.stderr


def test_what_stands_behind_the_dashes_goes_on(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    cli.invoke(app, ["upgrade", "-i", "prod", "--limit", "worker-1", "--", "--forks", "2"])
    assert runs.options["passthrough"] == ("--forks", "2")
    assert runs.options["limit"] == "worker-1"
