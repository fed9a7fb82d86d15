from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app
from kubestead.runs import PhaseTime, RunResult
from kubestead.runs.lock import claim
from kubestead.runs.record import Record

from .conftest import FakeRuns


@pytest.fixture
def told(tmp_path: Path) -> tuple[str, Path]:
    """A command that notes what it is told, and where: the document and the environment."""
    folder = tmp_path / "told"
    folder.mkdir()
    script = tmp_path / "tell me"
    script.write_text(f"#!/bin/sh\ncat >{folder}/document\nenv >{folder}/environment\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"'{script}' --loudly", folder


@pytest.fixture
def recorded(runs: FakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    """Runs that leave a record behind, as real ones do."""

    def run(playbook: str, inventory: Path, **options: Any) -> RunResult:
        result = runs(playbook, inventory, **options)
        about = {"playbook": playbook, "inventory": str(inventory.resolve()), "cluster": "prod"}
        record = Record.begin(playbook, None, about)
        ending = {"ok": result.ok, "rc": result.rc, "outcome": "succeeded" if result.ok else "failed"}
        from kubestead.runs.progress import Progress

        record.end(ending, Progress())
        phases = [PhaseTime(name, 1.0, 0) for name in PHASES[: PHASES.index(LAST[-1]) + 1]]
        reason = "Stopped in phase join: its time limit of 1.0 s was over." if result.rc == 124 else ""
        failures = [] if reason else result.failures
        return RunResult(result.ok, result.rc, phases, result.hosts, failures, record.directory, "line", reason=reason)

    monkeypatch.setattr("kubestead.runs.run_playbook", run)
    return runs


PHASES = [
    "validate",
    "preflight",
    "Confirm",
    "Workers",
    "Control planes",
    "Load balancers",
    "Reset done",
    "join",
    "verify",
    "Conformance",
]
LAST = ["verify"]


@pytest.fixture
def last(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The phase that the run comes to; the last one, unless a test appends another."""
    monkeypatch.setattr(f"{__name__}.LAST", found := ["verify"])
    return found


def environment(folder: Path) -> dict[str, str]:
    lines = (folder / "environment").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("KUBESTEAD_"))


def test_a_rebuild_that_went_well(
    cli: CliRunner, recorded: FakeRuns, inventory: Path, told: tuple[str, Path], tmp_path: Path
) -> None:
    command, folder = told
    words = ["rebuild", "-i", "prod", "--yes", "--report", "page", "--notify", command, "--time-limit", "1h30m"]
    result = cli.invoke(app, words)
    assert result.exit_code == 0, result.output
    assert recorded.calls[-1][0] == "rebuild"
    assert recorded.options["extra_vars"] == {"reset_confirm": "prod"}
    assert recorded.options["time_limit"] == 5400
    assert "The new cluster is built and tested." in result.stdout
    assert "Report: page/report.html" in result.stdout
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"report.html", "junit.xml", "report.json"}
    said = environment(folder)
    assert (said["KUBESTEAD_OUTCOME"], said["KUBESTEAD_CLUSTER"], said["KUBESTEAD_RC"]) == ("succeeded", "prod", "0")
    assert said["KUBESTEAD_REPORT"] == "page/report.html"
    assert Path(said["KUBESTEAD_RECORD"]).is_dir()
    document = json.loads((folder / "document").read_text(encoding="utf-8"))
    assert (document["ok"], document["outcome"]) == (True, "succeeded")
    assert document["report"]["xml"] == "page/junit.xml"


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("validate", "The old cluster was not touched."),
        ("preflight", "The old cluster was not touched."),
        ("Confirm", "The old cluster was not touched."),
        ("Workers", "taken off in part"),
        ("Reset done", "taken off in part"),
        ("join", "phase join was the last. `kubestead apply` goes on with it"),
        ("verify", "its test did not come to a good end"),
        ("Conformance", "passed its smoke test, but not its conformance tests"),
    ],
)
def test_a_rebuild_that_failed_says_in_what_state_the_cluster_is(
    cli: CliRunner,
    recorded: FakeRuns,
    inventory: Path,
    told: tuple[str, Path],
    last: list[str],
    phase: str,
    state: str,
) -> None:
    last.append(phase)
    recorded.rc = 2
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", told[0], "--json"])
    assert result.exit_code == 1
    assert state in result.stderr
    document = json.loads(result.stdout)
    assert document["outcome"] == "failed"
    assert document["reason"].startswith("worker-1, phase join, Join: No room. ")
    assert state in document["reason"]
    assert environment(told[1])["KUBESTEAD_REASON"] == document["reason"]
    assert json.loads((told[1] / "document").read_text(encoding="utf-8")) == document


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "The inventory has 2 mistakes.\n- cluster.yml:1: a\n- cluster.yml:2: b",
            "2 mistakes. cluster.yml:1: a The old",
        ),
        (
            "1 finding: 1 must be settled.\n\nworker-1:\n  error    unreachable: No route",
            "settled. error    unreachable: No",
        ),
        ("No room.\nNone at all.", "No room. The old"),
    ],
)
def test_the_reason_names_the_first_entry_of_a_list(
    cli: CliRunner, recorded: FakeRuns, inventory: Path, last: list[str], message: str, reason: str
) -> None:
    last.append("preflight")
    recorded.rc, recorded.message = 2, message
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--json"])
    assert reason in json.loads(result.stdout)["reason"]


def test_a_rebuild_at_its_time_limit_ends_with_a_code_of_its_own(
    cli: CliRunner, recorded: FakeRuns, inventory: Path, told: tuple[str, Path], last: list[str]
) -> None:
    last.append("join")
    recorded.rc = 124
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--time-limit", "1s", "--notify", told[0]])
    assert result.exit_code == 124
    said = environment(told[1])
    assert said["KUBESTEAD_OUTCOME"] == "timed out"
    assert said["KUBESTEAD_REASON"].startswith(
        "Stopped in phase join: its time limit of 1.0 s was over. The old cluster is gone"
    )


def test_a_notification_that_fails_is_told_and_changes_nothing(
    cli: CliRunner, recorded: FakeRuns, inventory: Path
) -> None:
    command = "sh -c 'echo no mail here; exit 7'"
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", command])
    assert result.exit_code == 0
    assert "The notification failed: it ended with 7\n  | no mail here" in result.stderr


def test_a_notification_that_hangs_is_ended(
    cli: CliRunner, recorded: FakeRuns, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubestead.runs.notify.TIME_LIMIT", 0.2)
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", "sleep 600"])
    assert result.exit_code == 0
    assert "The notification failed: it was ended after 0.2 s" in result.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nowhere-to-be-found x", "no program 'nowhere-to-be-found'"),
        ("'open", "is no command"),
        ("", "no command is given"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_before_anything_is_done(
    cli: CliRunner, runs: FakeRuns, inventory: Path, command: str, words: str
) -> None:
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", command])
    assert result.exit_code == 2
    assert words in result.stderr
    assert runs.calls == []


@pytest.mark.parametrize("text", ["", "soon", "0m", "1.5h", "-3m", "30"])
def test_a_time_limit_that_is_none_is_refused(cli: CliRunner, runs: FakeRuns, inventory: Path, text: str) -> None:
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", f"--time-limit={text}"])
    assert result.exit_code == 2
    assert "as 2h, 90m or 1h30m" in result.stderr
    assert runs.calls == []


def test_without_a_terminal_a_rebuild_wants_yes(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    result = cli.invoke(app, ["rebuild", "-i", "prod"])
    assert result.exit_code == 2
    assert "a rebuild removes the cluster prod and all its data" in result.stderr
    assert runs.calls == []


def test_a_rebuild_asks_for_the_name(cli: CliRunner, recorded: FakeRuns, inventory: Path, terminal: None) -> None:
    assert cli.invoke(app, ["rebuild", "-i", "prod"], input="production\n").exit_code == 1
    assert recorded.calls == []
    assert cli.invoke(app, ["rebuild", "-i", "prod"], input="prod\n").exit_code == 0


def test_a_rebuild_beside_another_run_is_refused_and_told(
    cli: CliRunner, inventory: Path, told: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with claim(inventory, "kubestead apply -i prod"):
        result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", told[0]])
    assert result.exit_code == 3
    said = environment(told[1])
    assert (said["KUBESTEAD_OUTCOME"], said["KUBESTEAD_CLUSTER"]) == ("refused", "prod")
    assert "kubestead apply -i prod" in (told[1] / "document").read_text(encoding="utf-8")
    assert "KUBESTEAD_REPORT" not in said


def test_an_inventory_that_cannot_be_read_is_told_too(
    cli: CliRunner, runs: FakeRuns, inventory: Path, told: tuple[str, Path]
) -> None:
    (inventory / "group_vars/all/cluster.yml").write_text("a: 1\n b: 2\n", encoding="utf-8")
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--notify", told[0], "--json"])
    assert result.exit_code == 1
    assert "`kubestead validate -i prod` says in which file and line." in result.stderr
    assert environment(told[1])["KUBESTEAD_OUTCOME"] == "failed"
    assert "cannot be read" in json.loads(result.stdout)["reason"]
    assert runs.calls == []


def test_a_report_that_cannot_be_written_does_not_change_the_outcome(
    cli: CliRunner, recorded: FakeRuns, inventory: Path
) -> None:
    result = cli.invoke(app, ["rebuild", "-i", "prod", "--yes", "--report", "/proc/nowhere"])
    assert result.exit_code == 0
    assert "The report cannot be written" in result.stderr


def test_an_answer_for_ansible_is_an_answer(cli: CliRunner, recorded: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["rebuild", "-i", "prod", "--", "-e", "reset_confirm=prod"]).exit_code == 0
    assert recorded.options["extra_vars"] == {}
