from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kubestead.cli.main import app

from .conftest import FakeRuns


def told(host: str, action: str = "ansible.builtin.debug", **result: Any) -> dict[str, Any]:
    data = {"host": host, "task": "Do a thing", "resolved_action": action, "res": result}
    return {"event": "runner_on_ok", "event_data": data}


JOIN = told("worker-1", "kubestead.cluster.kubeadm_join", changed=True)
NOTHING = [told("localhost"), told("control-plane-1"), told("worker-1")]


def test_a_plan_tells_each_host(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.events = [*NOTHING, JOIN]
    result = cli.invoke(app, ["plan", "-i", "prod"])
    assert result.exit_code == 2
    assert "\ncontrol-plane-1: no change\nworker-1:\n  joins as worker\n" in result.stdout
    assert "1 of 2 hosts would change; nothing was changed now." in result.stdout
    assert runs.calls[-1][0] == "site"
    assert runs.options["check"]


def test_a_plan_without_a_change(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.events = NOTHING
    result = cli.invoke(app, ["plan", "-i", "prod"])
    assert result.exit_code == 0
    assert "0 of 2 hosts would change" in result.stdout


def test_a_plan_that_failed_ends_with_1_whatever_it_found(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.events, runs.rc = [*NOTHING, JOIN], 2
    result = cli.invoke(app, ["plan", "-i", "prod"])
    assert result.exit_code == 1
    assert "worker-1:\n  joins as worker\nThe plan is not complete" in result.stdout
    assert "no change" not in result.stdout


def test_a_plan_for_programs(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.events = [*NOTHING, JOIN]
    result = cli.invoke(app, ["plan", "-i", "prod", "--json"])
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert document["changes"]
    assert document["plan"] == {"control-plane-1": [], "worker-1": ["joins as worker"]}


def test_a_reset_asks_for_the_name(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod"], input="prod\n")
    assert result.exit_code == 0
    assert "This removes the cluster prod and all its data. Type the cluster's name to go on" in result.stderr
    assert runs.calls[-1][0] == "reset"
    assert runs.options["extra_vars"] == {"reset_confirm": "prod"}


def test_a_reset_of_one_machine_says_so(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod", "--limit", "worker-1"], input="prod\n")
    assert "This removes worker-1 of the cluster prod" in result.stderr
    assert runs.options["limit"] == "worker-1"


def test_a_wrong_name_is_refused(cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod"], input="production\n")
    assert result.exit_code == 1
    assert "'production' is not the name of this cluster. Nothing was changed." in result.stderr
    assert runs.calls == []


def test_yes_takes_the_name_from_the_inventory(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["reset", "-i", "prod", "--yes"]).exit_code == 0
    assert runs.options["extra_vars"] == {"reset_confirm": "prod"}


def test_yes_knows_the_default_name(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    (inventory / "group_vars/all/cluster.yml").unlink()
    assert cli.invoke(app, ["reset", "-i", "prod", "--yes"]).exit_code == 0
    assert runs.options["extra_vars"] == {"reset_confirm": "kubernetes"}


def test_without_a_terminal_a_reset_says_what_to_type(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod"])
    assert result.exit_code == 2
    assert "a reset removes the cluster prod and all its data" in result.stderr
    assert "with --yes, or with: -- -e reset_confirm=prod" in result.stderr
    assert runs.calls == []


def test_without_a_terminal_a_reset_of_one_machine_says_that_it_is_one(
    cli: CliRunner, runs: FakeRuns, inventory: Path
) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod", "--limit", "worker-1"])
    assert result.exit_code == 2
    assert "a reset removes worker-1 of the cluster prod and all its data" in result.stderr


def test_a_reset_of_a_machine_that_there_is_not_asks_nothing(
    cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None
) -> None:
    result = cli.invoke(app, ["reset", "-i", "prod", "--limit", "wroker-1"], input="prod\n")
    assert result.exit_code == 2
    assert "Did you mean worker-1?" in result.stderr
    assert "Type the cluster's name" not in result.stderr
    assert runs.calls == []


def test_an_answer_for_ansible_is_an_answer(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["reset", "-i", "prod", "--", "-e", "reset_confirm=prod"]).exit_code == 0
    assert runs.options["extra_vars"] == {}
    assert runs.options["passthrough"] == ("-e", "reset_confirm=prod")


def test_a_name_that_is_a_template_is_for_the_playbook_to_judge(
    cli: CliRunner, runs: FakeRuns, inventory: Path, terminal: None
) -> None:
    (inventory / "group_vars/all/cluster.yml").write_text('cluster_name: "{{ stage }}-1"\n', encoding="utf-8")
    refused = cli.invoke(app, ["reset", "-i", "prod", "--yes"])
    assert refused.exit_code == 2
    assert "-e reset_confirm=NAME" in refused.stderr
    assert cli.invoke(app, ["reset", "-i", "prod"], input="test-1\n").exit_code == 0
    assert runs.options["extra_vars"] == {"reset_confirm": "test-1"}


def test_an_inventory_that_cannot_be_read_is_explained(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    (inventory / "group_vars/all/vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132\n", encoding="utf-8")
    result = cli.invoke(app, ["reset", "-i", "prod", "--yes"])
    assert result.exit_code == 1
    assert "the inventory prod cannot be read" in result.stderr
    assert "vault" in result.stderr


def test_an_inventory_without_control_planes_has_no_cluster(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    (inventory / "hosts.yml").write_text("all:\n  hosts:\n    one:\n", encoding="utf-8")
    result = cli.invoke(app, ["reset", "-i", "prod", "--yes"])
    assert result.exit_code == 1
    assert "no host in its group control_plane" in result.stderr
