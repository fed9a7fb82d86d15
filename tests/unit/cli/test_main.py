from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kubestead.cli.main import app

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cli() -> CliRunner:
    return CliRunner()


def test_help_lists_every_command(cli: CliRunner) -> None:
    output = cli.invoke(app, ["--help"]).output
    for command in ("lab", "mirror", "run", "schema", "validate", "version"):
        assert f"\n  {command} " in output


def test_version_is_the_collections(cli: CliRunner) -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert cli.invoke(app, ["version"]).output == f"{galaxy['version']}\n"


def test_an_unknown_playbook_is_an_error_of_usage(cli: CliRunner) -> None:
    result = cli.invoke(app, ["run", "nonsense", "--inventory", str(ROOT / "inventories/lab")])
    assert result.exit_code == 2
    assert "no playbook 'nonsense'" in result.output


def test_an_inventory_that_is_not_there_is_an_error_of_usage(cli: CliRunner) -> None:
    result = cli.invoke(app, ["run", "site", "--inventory", "nowhere"])
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_commands_that_run_no_playbook_do_not_load_ansible() -> None:
    code = "import sys, kubestead.cli.main; print([m for m in sys.modules if m.split('.')[0].startswith('ansible')])"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"
