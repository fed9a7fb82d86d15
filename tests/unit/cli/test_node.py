"""``kubestead node``: what the playbooks are given, and what is asked first."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app

from .conftest import FakeRuns


@pytest.mark.parametrize(
    ("words", "variables"),
    [([], {}), (["worker-2", "worker-3"], {"add_nodes": ["worker-2", "worker-3"]})],
    ids=["all", "named"],
)
def test_nodes_are_added(
    cli: CliRunner, runs: FakeRuns, inventory: Path, words: list[str], variables: dict[str, list[str]]
) -> None:
    result = cli.invoke(app, ["node", "add", *words, "-i", "prod", "--", "--forks", "20"])
    assert result.exit_code == 0
    assert runs.calls[-1][0] == "add"
    assert runs.options["extra_vars"] == variables
    assert runs.options["passthrough"] == ("--forks", "20")


def test_a_removal_asks(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None) -> None:
    result = cli.invoke(app, ["node", "remove", "worker-1", "worker-2", "-i", "prod"], input="y\n")
    assert result.exit_code == 0
    assert "This takes worker-1, worker-2 out of the cluster" in result.stderr
    assert runs.calls[-1][0] == "remove"
    assert runs.options["extra_vars"] == {"remove_nodes": ["worker-1", "worker-2"]}


def test_a_no_changes_nothing(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None) -> None:
    result = cli.invoke(app, ["node", "remove", "worker-1", "-i", "prod"], input="\n")
    assert result.exit_code == 1
    assert "nothing was changed" in result.stderr
    assert runs.calls == []


def test_without_a_terminal_a_removal_says_what_to_add(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["node", "remove", "worker-1", "-i", "prod"])
    assert result.exit_code == 2
    assert "takes worker-1 out of the cluster" in result.stderr
    assert "add --yes" in result.stderr
    assert runs.calls == []


def test_options_of_a_removal_become_variables(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    words = ["node", "remove", "worker-1", "-i", "prod", "--yes", "--dead", "--drain-timeout", "60"]
    assert cli.invoke(app, words).exit_code == 0
    assert runs.options["extra_vars"] == {
        "remove_nodes": ["worker-1"],
        "remove_dead": True,
        "remove_drain_timeout": 60,
    }


def test_a_removal_of_nobody_is_a_wrong_command_line(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["node", "remove", "-i", "prod", "--yes"]).exit_code == 2
    assert runs.calls == []
