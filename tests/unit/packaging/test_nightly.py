"""The examples for a nightly rebuild: each is read by what it is for, and its command line by our own command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from kubestead.cli.main import app

ROOT = Path(__file__).parents[3]
NIGHTLY = ROOT / "inventories/nightly"
WHERE = {
    "kubestead-rebuild@.service": "/opt/kubestead/bin/",
    "cron": "/opt/kubestead/bin/",
    "workflow.yml": ".venv/bin/",
}


def command_of(name: str) -> list[str]:
    (line,) = re.findall(
        rf"{re.escape(WHERE[name])}kubestead (rebuild .*)", (NIGHTLY / name).read_text(encoding="utf-8")
    )
    words = shlex.split(line.partition(">")[0])
    return [str(NIGHTLY) if words[index - 1] == "--inventory" else word for index, word in enumerate(words)]


@pytest.mark.parametrize("name", WHERE)
def test_the_command_understands_its_line(name: str) -> None:
    verb = get_command(app).commands["rebuild"]  # type: ignore[attr-defined]
    context = verb.make_context("rebuild", command_of(name)[1:])
    assert context.params["yes"]
    assert context.params["time_limit"] == "2h"
    assert context.args == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("kubestead-rebuild@.service", "kubestead-rebuild@.timer"):
        text = (NIGHTLY / name).read_text(encoding="utf-8").replace("/opt/kubestead/bin/kubestead", sys.executable)
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "kubestead-rebuild@prod.timer")],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "kubestead-rebuild" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


def test_the_cron_line_has_five_times_a_user_and_a_command() -> None:
    lines = (NIGHTLY / "cron").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#") and not re.match(r"\w+=", line)]
    *times, user, command, rest = line.split(maxsplit=7)
    assert all(re.fullmatch(r"\*|\d+", part) for part in times)
    assert (user, command) == ("kubestead", "/opt/kubestead/bin/kubestead")
    assert "%" not in rest, "cron would make a line break of it"


def test_the_workflow_runs_at_night_and_keeps_the_report() -> None:
    workflow: dict[str, Any] = yaml.safe_load((NIGHTLY / "workflow.yml").read_text(encoding="utf-8"))
    assert workflow["on"]["schedule"] == [{"cron": "30 2 * * *"}]
    steps = workflow["jobs"]["rebuild"]["steps"]
    (kept,) = [step for step in steps if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert kept["if"] == "always()"
    assert f"--report {kept['with']['path']}" in " ".join(step.get("run", "") for step in steps)
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    assert f"kubestead=={version}" in " ".join(step.get("run", "") for step in steps)
    for step in steps:
        if "run" in step:
            subprocess.run(["bash", "-n", "-c", step["run"]], check=True)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_the_example_of_a_notification_logs_good_nights_and_mails_of_bad_ones(tmp_path: Path, outcome: str) -> None:
    for program in ("logger", "mail"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho "{program} $*"\n[ {program} = logger ] || cat\n')
        (tmp_path / program).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "KUBESTEAD_OUTCOME": outcome,
        "KUBESTEAD_CLUSTER": "prod",
        "KUBESTEAD_REASON": "worker-1: No room.",
    }
    done = subprocess.run([NIGHTLY / "notify"], env=environment, capture_output=True, text=True, check=True)
    if outcome == "succeeded":
        assert done.stdout == "logger --tag kubestead prod: rebuilt\n"
    else:
        assert done.stdout.startswith("mail -s rebuild of prod: failed root\nworker-1: No room.\n\nthere is no report")
