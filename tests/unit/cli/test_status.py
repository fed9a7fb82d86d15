from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app

from .conftest import FakeRuns

NODE = {
    "name": "worker-1",
    "ready": True,
    "message": "",
    "schedulable": True,
    "control_plane": False,
    "version": "v1.36.4",
    "address": "192.0.2.21",
}
VIEW = {
    "nodes": [NODE],
    "api_error": "",
    "etcd": {"external": [], "healthy": True, "version": "3.6.8", "members": [], "error": ""},
    "certificates": [],
}


@pytest.fixture
def healthy(runs: FakeRuns) -> FakeRuns:
    told: dict[str, Any] = {
        "name": "worker-1",
        "stage": "member",
        "containerd": "2.3.7",
        "virtual_ip": "",
        "addresses": [],
    }
    runs.data = {"status": {"worker-1": {**told, "groups": ["control_plane", "workers"], "cluster": VIEW}}}
    return runs


def test_a_healthy_cluster(cli: CliRunner, healthy: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["status", "-i", "prod"])
    assert result.exit_code == 0
    assert healthy.calls[-1][0] == "status"
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["node", "part", "state", "Kubernetes", "etcd", "certificates"]
    assert lines[1] == ["worker-1", "worker", "Ready", "1.36.4", "3.6.8"]
    assert "Nothing is amiss." in result.stdout
    assert "phase verify" in result.stderr, "progress is beside the answer"


def test_add_ons_have_a_line(cli: CliRunner, healthy: FakeRuns, inventory: Path) -> None:
    workload = {"addon": "metrics-server", "name": "Deployment a/b", "version": "v0.8.1", "trouble": ""}
    healthy.data["status"]["worker-1"]["addons"] = [workload]
    assert "\nadd-ons: metrics-server 0.8.1 ready\n" in cli.invoke(app, ["status", "-i", "prod"]).stdout
    document = json.loads(cli.invoke(app, ["status", "-i", "prod", "--json"]).stdout)
    assert document["addons"] == [{"name": "metrics-server", "version": "0.8.1", "ready": True}]


def test_a_host_without_an_answer_is_amiss(cli: CliRunner, healthy: FakeRuns, inventory: Path) -> None:
    healthy.rc, healthy.data = 4, {}
    result = cli.invoke(app, ["status", "-i", "prod"])
    assert result.exit_code == 1
    assert "- worker-1 gave no answer" in result.stdout
    assert "- no control plane knows of a cluster" in result.stdout


def test_for_programs(cli: CliRunner, healthy: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["status", "-i", "prod", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["healthy"]
    assert document["problems"] == []
    assert document["nodes"][0]["containerd"] == "2.3.7"


def test_a_run_that_was_stopped_is_no_answer(cli: CliRunner, healthy: FakeRuns, inventory: Path) -> None:
    healthy.rc = 130
    result = cli.invoke(app, ["status", "-i", "prod"])
    assert result.exit_code == 130
    assert result.stdout == ""
