from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubestead.runs import record as module
from kubestead.runs.account import Account, outcome
from kubestead.runs.progress import Notice, Progress
from kubestead.runs.record import KEPT, Record, alive, read, restore, summarize
from kubestead.runs.secrets import Secrets

Keep = Callable[..., Path]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_record_holds_no_results_of_tasks(events: list[dict[str, Any]], keep: Keep) -> None:
    folder = keep()
    assert len(lines(folder)) == len(events)
    assert {key for line in lines(folder) for key in line} <= {
        *("event", "created", "play", "task", "role", "host", "duration", "task_path", "task_action"),
        *("ignore_errors", "changed", "msg", "note", "text", "lost"),
    }
    assert "top-secret-value" not in (folder / "events.jsonl").read_text()


def test_arguments_and_output_of_a_task_are_left_out() -> None:
    event = {
        "event": "runner_on_ok",
        "event_data": {
            "host": "a",
            "task_args": "token=abcdef.0123456789abcdef",
            "res": {
                "changed": True,
                "msg": "abcdef.0123456789abcdef",
                "stdout": "abcdef.0123456789abcdef",
                "invocation": {"module_args": {}},
            },
        },
    }
    assert summarize(event) == {"event": "runner_on_ok", "created": None, "host": "a", "changed": True}


def test_a_recorded_run_tells_the_same_as_the_run(events: list[dict[str, Any]]) -> None:
    def seen(run: list[Any]) -> tuple[list[Notice], dict[str, Any]]:
        progress, account, notices = Progress(), Account(), []
        for event in run:
            notices += progress.feed(event)
            account.feed(event, progress)
        return notices, outcome(progress, account)

    through_a_file = [restore(json.loads(json.dumps(summarize(event)))) for event in events]
    assert seen(through_a_file) == seen(events)


def test_a_warning_is_told_again() -> None:
    event = {"event": "warning", "created": "2026-11-21T06:00:00+00:00", "stdout": " [WARNING]: a strange clock\n"}
    assert list(Progress().feed(restore(summarize(event)))) == list(Progress().feed(event))


def test_the_record_holds_times_counts_and_changes(keep: Keep) -> None:
    about = read(keep())
    assert [phase["name"] for phase in about["phases"]] == ["validate", "prepare", "verify"]
    assert about["hosts"]["worker-1"]["changed"] == 2
    assert set(about["hosts"]["worker-1"]["phases"]) == {"prepare", "verify"}
    assert len(about["changes"]) == sum(host["changed"] for host in about["hosts"].values()) == 6
    assert about["changes"][0]["task"] == "Write a file"
    tasks = {task["task"]: task for task in about["tasks"]}
    assert (tasks["Write a file"]["results"], tasks["Write a file"]["changed"], tasks["Write a file"]["failed"]) == (
        4,
        3,
        1,
    )
    assert {failure["host"] for failure in about["failures"]} == {"worker-1", "worker-2", "worker-3"}


def test_secret_values_are_hidden_everywhere(tmp_path: Path) -> None:
    record = Record.begin("site", tmp_path, secrets=Secrets(["hunter22"]))
    (record.runner_directory / "artifacts" / "x").mkdir(parents=True)
    (record.runner_directory / "artifacts" / "x" / "stdout").write_text("the password hunter22 is wrong\n")
    progress = Progress()
    event = {
        "event": "runner_on_failed",
        "created": "2026-11-21T06:00:00+00:00",
        "event_data": {"host": "a", "task": "Log in with hunter22", "res": {"msg": "hunter22 was refused"}},
    }
    list(progress.feed(event))
    record.event(event, progress)
    record.end({"ok": False, "rc": 2}, progress)
    texts = {path.name: path.read_text() for path in record.directory.iterdir()}
    assert set(texts) == {"events.jsonl", "output.log", "run.json"}
    assert all("***" in text and "hunter22" not in text for text in texts.values())


def test_only_the_owner_may_read_a_record(tmp_path: Path) -> None:
    record = Record.begin("site", tmp_path / "runs")
    assert record.directory.stat().st_mode & 0o777 == 0o700
    assert record.runner_directory.stat().st_mode & 0o777 == 0o700


def test_the_end_keeps_ansibles_output_and_removes_the_rest(tmp_path: Path) -> None:
    record = Record.begin("kubestead.cluster.reset", tmp_path)
    artifacts = record.runner_directory / "artifacts" / "x"
    artifacts.mkdir(parents=True)
    (artifacts / "stdout").write_text("PLAY RECAP\n")
    (artifacts / "command").write_text("all the environment")
    record.end({"ok": False, "rc": 2}, Progress())
    assert record.directory.name.endswith("-reset")
    assert sorted(path.name for path in record.directory.iterdir()) == ["events.jsonl", "output.log", "run.json"]
    assert read(record.directory)["rc"] == 2


def test_the_oldest_records_go(tmp_path: Path) -> None:
    made = []
    for _ in range(KEPT + 3):
        record = Record.begin("site", tmp_path)
        record.end({"ok": True, "rc": 0}, Progress())
        made.append(record.directory)
    assert sorted(tmp_path.iterdir()) == made[3:]


def test_the_record_of_a_run_that_goes_on_stays(tmp_path: Path) -> None:
    running = Record.begin("site", tmp_path)
    assert alive(read(running.directory))
    for _ in range(KEPT + 3):
        Record.begin("validate", tmp_path).end({"ok": True, "rc": 0}, Progress())
    assert running.directory.is_dir()
    running.end({"ok": True, "rc": 0}, Progress())
    assert not alive(read(running.directory))


def test_a_full_disk_is_said_once_and_the_run_goes_on(events: list[dict[str, Any]], tmp_path: Path) -> None:
    said: list[str] = []
    record = Record.begin("site", tmp_path, warn=said.append)
    progress = Progress()
    with Path("/dev/full").open("w", buffering=1) as full:
        record._events = full
        for event in events:
            list(progress.feed(event))
            record.event(event, progress)
        record.end({"ok": False, "rc": 2}, progress)
    assert len(said) == 1
    assert "No space left on device. The run goes on." in said[0]
    assert len(read(record.directory)["changes"]) == 6, "what could be written is whole"


@pytest.mark.parametrize("full", [True, False])
def test_without_a_place_for_records_a_run_gets_a_temporary_one(
    full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if full:
        monkeypatch.setattr(module, "ROOM", 1 << 62)
    said: list[str] = []
    root = tmp_path / "runs" if full else Path("/proc/kubestead/runs")
    record = Record.begin("site", root, warn=said.append)
    assert len(said) == 1
    assert str(record.directory) in said[0]
    assert f"No record can be kept in {root} (" in said[0]
    record.end({"ok": True, "rc": 0}, Progress())
    assert read(record.directory)["ok"]
    assert not list(tmp_path.glob("runs/*"))
