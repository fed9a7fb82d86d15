"""The playbook and the command, really run: every mistake in one list, and no host contacted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from kubestead.cli.validate import validate

ROOT = Path(__file__).parents[3]
SENTINEL = """\
DOCUMENTATION = "name: sentinel\\nshort_description: leaves a trace\\ndescription: x\\nauthor: x\\noptions: {}\\n"
import pathlib
from ansible.plugins.connection import ConnectionBase
class Connection(ConnectionBase):
    transport = "sentinel"
    def _trace(self, *arguments, **options):
        pathlib.Path(__file__).with_name("contacted").touch()
        raise SystemExit("a host was contacted")
    _connect = exec_command = put_file = fetch_file = close = _trace
"""
BAD = {
    "all": {
        "vars": {"ansible_connection": "sentinel"},
        "children": {
            "control_plane": {"hosts": {"cp_1": {"ansible_host": "192.0.2.1"}}},
            "worker": {"hosts": {"worker-1": {"ansible_host": "192.0.2.1"}}},
        },
    }
}
PREFLIGHT = "- name: preflight\n  hosts: all\n  gather_facts: false\n  tasks: [ansible.builtin.ping: ]\n"
CLUSTER = 'cluster_pod_cdir: 10.1.0.0/16\ncluster_kubernetes_version: "1.29"\ncluster_pod_cidr: 10.96.0.0/16\n'


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    (tmp_path / "connection_plugins").mkdir()
    (tmp_path / "connection_plugins/sentinel.py").write_text(SENTINEL)
    inventory = tmp_path / "inventory"
    (inventory / "group_vars/all").mkdir(parents=True)
    (inventory / "hosts.yml").write_text(yaml.safe_dump(BAD))
    (inventory / "group_vars/all/cluster.yml").write_text(CLUSTER)
    return inventory


def run(inventory: Path, tmp_path: Path, playbook: str = "playbooks/validate.yml") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path / "connection_plugins"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
        "ANSIBLE_NOCOLOR": "1",
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, playbook, "-i", inventory], cwd=ROOT, env=environment, text=True, capture_output=True, check=False
    )


def failure(output: str) -> dict[str, Any]:
    line = next(line for line in output.splitlines() if line.startswith("fatal: [localhost]"))
    result: dict[str, Any] = json.loads(line.split("=> ", 1)[1])
    return result


def test_every_mistake_in_one_list_and_no_host_contacted(bad: Path, tmp_path: Path) -> None:
    playbook = tmp_path / "site.yml"
    playbook.write_text(f"- import_playbook: kubestead.cluster.validate\n{PREFLIGHT}")
    done = run(bad, tmp_path, str(playbook))
    result = failure(done.stdout)
    assert done.returncode == 2
    assert [(error["rule"], Path(error["file"]).name, error.get("line")) for error in result["errors"]] == [
        ("unknown-variable", "cluster.yml", 1),
        ("wrong-value", "cluster.yml", 2),
        ("overlap", "cluster.yml", 3),
        ("node-name", "hosts.yml", 5),
        ("misspelt-group", "hosts.yml", 7),
        ("same-address", "hosts.yml", 10),
    ]
    lines = result["msg"].splitlines()
    assert lines[0] == "The inventory has 6 mistakes. No host was contacted."
    assert lines[1:] == [f"- {error['message']}" for error in result["errors"]]
    assert not (tmp_path / "connection_plugins/contacted").exists()
    assert "PLAY [Validate]" in done.stdout
    assert "PLAY [Preflight]" not in done.stdout


def test_the_sentinel_would_tell(bad: Path, tmp_path: Path) -> None:
    playbook = tmp_path / "contact.yml"
    playbook.write_text(PREFLIGHT)
    run(bad, tmp_path, str(playbook))
    assert (tmp_path / "connection_plugins/contacted").exists()


def test_doubts_are_warnings_and_stop_nothing(bad: Path, tmp_path: Path) -> None:
    (bad / "hosts.yml").write_text(
        json.dumps({"control_plane": {"hosts": {"cp-1": {}}}, "db": {"hosts": {"db-1": {}}}})
    )
    (bad / "group_vars/all/cluster.yml").unlink()
    done = run(bad, tmp_path)
    assert done.returncode == 0
    assert "host db-1: it is in db" in " ".join(done.stderr.split())


def test_the_inventory_for_one_machine_is_right(tmp_path: Path) -> None:
    done = run(ROOT / "inventories/single-node", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("inventory", "code"), [("single-node", 0), ("bad", 1)])
def test_the_command(inventory: str, code: int, bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = bad if inventory == "bad" else ROOT / "inventories/single-node"
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, ["-i", str(path)])
    assert result.exit_code == code, result.output
    assert "kubestead.cluster.validate -i" in result.output
    assert ("The inventory has 6 mistakes" in result.output) == (code == 1)


def test_a_file_that_is_no_yaml_is_named_with_its_line(bad: Path, tmp_path: Path) -> None:
    (bad / "group_vars/all/cluster.yml").write_text("cluster_name: lab\ncluster_labels:\n  a: 1\n b: 2\n")
    done = run(bad, tmp_path)
    assert done.returncode != 0
    assert "The inventory cannot be read. No host was contacted." in done.stdout + done.stderr
    assert f"- {bad}/group_vars/all/cluster.yml:4: this is no YAML: " in done.stdout + done.stderr
    assert not (tmp_path / "connection_plugins/contacted").exists()
