from __future__ import annotations

from typing import Any

from kubestead.runs.account import Account, outcome
from kubestead.runs.progress import Progress


def fed(*events: tuple[str, float, dict[str, Any]]) -> tuple[Progress, Account]:
    progress, account = Progress(), Account()
    for kind, second, data in events:
        event = {"event": kind, "created": f"2026-11-21T06:00:{second:09.6f}+00:00", "event_data": data}
        list(progress.feed(event))
        account.feed(event, progress)
    return progress, account


PLAY = ("playbook_on_play_start", 0.0, {"name": "Prepare"})
INSTALL = {"task": "Install", "task_path": "/x:1"}
WAIT = {"task": "Wait", "task_path": "/x:2"}


def test_a_task_takes_until_its_last_host_is_done() -> None:
    _, account = fed(
        PLAY,
        ("playbook_on_task_start", 1.0, INSTALL),
        ("runner_on_ok", 3.0, {**INSTALL, "host": "a", "duration": 2.0, "res": {"changed": True}}),
        ("runner_on_ok", 5.0, {**INSTALL, "host": "b", "duration": 3.5, "res": {}}),
        ("playbook_on_task_start", 5.0, WAIT),
        ("runner_on_skipped", 5.5, {**WAIT, "host": "a", "duration": 0.5}),
    )
    install, wait = account.tasks.values()
    assert (install.phase, install.seconds, install.results, install.changed) == ("prepare", 4.0, 2, 1)
    assert (wait.seconds, wait.results) == (0.5, 0)
    assert account.hosts == {"a": {"prepare": 2.5}, "b": {"prepare": 3.5}}


def test_a_task_that_runs_again_adds_up() -> None:
    _, account = fed(
        PLAY,
        ("playbook_on_task_start", 1.0, INSTALL),
        ("runner_on_ok", 2.0, {**INSTALL, "host": "a", "res": {}}),
        ("playbook_on_task_start", 10.0, INSTALL),
        ("runner_on_failed", 13.0, {**INSTALL, "host": "b", "res": {}}),
    )
    (install,) = account.tasks.values()
    assert (install.seconds, install.results, install.failed) == (4.0, 2, 1)


def test_an_ignored_failure_is_no_failure() -> None:
    _, account = fed(PLAY, ("runner_on_failed", 1.0, {**INSTALL, "host": "a", "ignore_errors": True, "res": {}}))
    assert [task.failed for task in account.tasks.values()] == [0]


def test_the_sums_of_the_recorded_run_fit_together(events: list[dict[str, Any]]) -> None:
    progress, account = Progress(), Account()
    for event in events:
        list(progress.feed(event))
        account.feed(event, progress)
    about = outcome(progress, account)
    assert about["seconds"] == round(sum(phase["seconds"] for phase in about["phases"]), 1)
    assert sum(task["changed"] for task in about["tasks"]) == sum(phase["changed"] for phase in about["phases"])
    assert 0 < sum(task["seconds"] for task in about["tasks"]) <= about["seconds"] + 0.2
    for host in about["hosts"].values():
        assert host["seconds"] == round(sum(host["phases"].values()), 1)
