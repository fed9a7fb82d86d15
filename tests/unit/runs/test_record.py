from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubestead.runs.record import KEPT, Record, summarize


def test_a_record_holds_no_results_of_tasks(events: list[dict[str, Any]], tmp_path: Path) -> None:
    record = Record.begin("site", tmp_path)
    for event in events:
        record.event(event)
    record.end({"ok": True})
    lines = [json.loads(line) for line in (record.directory / "events.jsonl").read_text().splitlines()]
    assert len(lines) == len(events)
    assert {key for line in lines for key in line} <= {
        *("event", "created", "play", "task", "role", "host", "duration", "task_path", "task_action"),
        *("ignore_errors", "changed", "msg"),
    }
    assert "top-secret-value" not in (record.directory / "events.jsonl").read_text()


def test_arguments_and_output_of_a_task_are_left_out() -> None:
    event = {
        "event": "runner_on_ok",
        "event_data": {
            "host": "a",
            "task_args": "token=abcdef.0123456789abcdef",
            "res": {"changed": True, "stdout": "abcdef.0123456789abcdef", "invocation": {"module_args": {}}},
        },
    }
    assert summarize(event) == {"event": "runner_on_ok", "created": None, "host": "a", "changed": True}


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
    record.end({"ok": False, "rc": 2})
    assert record.directory.name.endswith("-reset")
    assert sorted(path.name for path in record.directory.iterdir()) == ["events.jsonl", "output.log", "run.json"]
    assert json.loads((record.directory / "run.json").read_text())["rc"] == 2


def test_the_oldest_records_go(tmp_path: Path) -> None:
    made = []
    for _ in range(KEPT + 3):
        record = Record.begin("site", tmp_path)
        record.end({})
        made.append(record.directory)
    assert sorted(tmp_path.iterdir()) == made[3:]
