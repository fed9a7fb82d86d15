from __future__ import annotations

from typing import Any

from kubestead.runs.progress import HIDDEN, Notice, Progress
from kubestead.runs.record import restore, summarize

Replayed = tuple[Progress, list[Notice]]


def test_plays_of_one_name_in_a_row_are_one_phase(replayed: Replayed) -> None:
    progress, notices = replayed
    assert [phase.name for phase in progress.phases()] == ["validate", "prepare", "verify"]
    assert [notice.text for notice in notices if notice.kind == "phase"] == ["validate", "prepare", "verify"]


def test_phases_carry_their_time_and_changes(replayed: Replayed, events: list[dict[str, Any]]) -> None:
    progress, _ = replayed
    _, prepare, _ = progress.phases()
    assert prepare.changed == 6
    assert 0 < prepare.seconds < 60


def test_counts_of_each_host(replayed: Replayed) -> None:
    progress, _ = replayed
    first = progress.hosts["control-plane-1"]
    assert (first.ok, first.changed, first.failed, first.skipped) == (5, 2, 1, 3)
    assert progress.hosts["worker-2"].unreachable == 1
    assert all(host.task == "" for host in progress.hosts.values())


def test_only_failures_that_a_host_did_not_recover_from_are_final(replayed: Replayed) -> None:
    progress, _ = replayed
    final = {failure.host: failure for failure in progress.final_failures()}
    assert set(final) == {"worker-1", "worker-2", "worker-3"}
    assert any(failure.host == "control-plane-1" for failure in progress.failures)


def test_a_failed_command_is_told_in_its_own_words(replayed: Replayed) -> None:
    progress, _ = replayed
    final = {failure.host: failure for failure in progress.final_failures()}
    assert "no space left" in final["worker-1"].message
    assert final["worker-1"].phase == "verify"
    assert final["worker-1"].task == "Ask a command"
    assert final["worker-1"].path.startswith("/src/playbook.yml:")


def test_a_failed_loop_names_each_item(replayed: Replayed) -> None:
    progress, _ = replayed
    message = {failure.host: failure for failure in progress.final_failures()}["worker-3"].message
    assert "kubelet is missing" in message
    assert "containerd is missing" in message


def test_unreachable_is_told_from_failed(replayed: Replayed) -> None:
    progress, _ = replayed
    assert [failure.host for failure in progress.final_failures() if failure.unreachable] == ["worker-2"]


def test_messages_of_the_playbook_become_notes(replayed: Replayed) -> None:
    _, notices = replayed
    notes = [(notice.host, notice.text) for notice in notices if notice.kind == "note"]
    assert ("localhost", "The inventory is right.") in notes
    assert ("worker-1", "The second try\nwent well.") in notes


def test_what_the_playbook_hands_out(replayed: Replayed) -> None:
    progress, _ = replayed
    assert progress.data == {"nodes": 6}


def test_a_hidden_result_is_called_so() -> None:
    progress = Progress()
    event = {
        "event": "runner_on_failed",
        "created": "2026-11-21T06:00:00+00:00",
        "event_data": {"host": "a", "task": "Join", "res": {"censored": "hidden"}},
    }
    (notice,) = progress.feed(event)
    assert notice.text == HIDDEN


def test_ignored_failures_are_no_failures() -> None:
    progress = Progress()
    event = {"event": "runner_on_failed", "event_data": {"host": "a", "res": {"msg": "x"}, "ignore_errors": True}}
    assert list(progress.feed(event)) == []
    assert progress.failures == []


def test_a_run_that_breaks_off_ends_its_phase(events: list[dict[str, Any]]) -> None:
    progress = Progress()
    until_prepare = events[: next(i for i, event in enumerate(events) if event["event"] == "runner_on_unreachable") + 1]
    for event in until_prepare:
        list(progress.feed(event))
    assert progress.phase == "prepare"
    assert [notice.kind for notice in progress.finish()] == ["phase_end"]
    assert list(progress.finish()) == []
    assert [failure.host for failure in progress.final_failures()] == ["worker-2"]


def test_a_phase_is_spelt_in_one_way() -> None:
    progress = Progress()
    for name in ("Prepare", "My own Play"):
        event = {"event": "playbook_on_play_start", "event_data": {"name": name}}
        list(progress.feed(event))
    assert [phase.name for phase in progress.phases()] == ["prepare", "My own Play"]


def test_what_modules_warn_of_is_told_once() -> None:
    progress = Progress()
    said = [
        notice
        for host in ("a", "b")
        for notice in progress.feed(
            {
                "event": "runner_on_ok",
                "event_data": {"host": host, "task": "Look", "res": {"warnings": ["Two of them."]}},
            }
        )
    ]
    assert said == [Notice("warning", "[WARNING]: Two of them.")]


def waiting(action: str) -> dict[str, Any]:
    result = {"progress": "3 of 32 specs done\nFAILED a", "msg": "top-secret-value"}
    data = {"host": "cp-1", "task": "Wait for the suite", "task_action": action, "res": result}
    return {"event": "runner_item_on_ok", "event_data": data}


def test_a_task_that_waits_tells_each_round_how_far_it_is_and_its_record_the_same() -> None:
    event = waiting("kubestead.cluster.conformance_watch")
    (notice,) = Progress().feed(event)
    assert (notice.kind, notice.text, notice.host) == ("note", "3 of 32 specs done\nFAILED a", "cp-1")
    line = summarize(event)
    assert "top-secret-value" not in str(line)
    assert list(Progress().feed(restore(line))) == [notice]


def test_other_loops_say_nothing() -> None:
    assert list(Progress().feed(waiting("mine.own.module"))) == []
    assert "progress" not in summarize(waiting("mine.own.module"))
