from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from kubestead.runs import history
from kubestead.runs.history import NoSuchRunError, Run, alike, find, replay, runs
from kubestead.runs.progress import Progress
from kubestead.runs.render import PlainRenderer

Keep = Callable[..., Path]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kubestead"


def test_the_newest_run_comes_first_also_those_of_labs(state: Path, keep: Keep) -> None:
    folders = [keep("site"), keep("site", root=state / "lab" / "lab" / "runs"), keep("reset")]
    assert [run.folder for run in runs()] == folders[::-1]
    assert find("last").folder == folders[-1]


def test_without_any_record_there_is_nothing_to_find() -> None:
    assert runs() == []
    with pytest.raises(NoSuchRunError, match="no record of a run yet"):
        find("last")


def test_a_run_is_found_by_the_beginning_of_its_name(keep: Keep) -> None:
    first, second = keep("site"), keep("reset")
    assert find(first.name).folder == first
    assert find(second.name[:-3]).folder == second
    with pytest.raises(NoSuchRunError, match=f"may be .*{first.name}"):
        find("20")
    with pytest.raises(NoSuchRunError, match="no run begins with 'x'"):
        find("x")
    with pytest.raises(NoSuchRunError):
        find("")


def test_a_run_tells_what_its_record_says(keep: Keep) -> None:
    run = Run.load(keep())
    assert (run.playbook, run.cluster, run.outcome, run.changed) == ("site", "home", "failed", 6)
    assert run.tasks == sorted(run.tasks, key=lambda task: -task.seconds)
    assert run.as_json()["id"] == run.id
    assert "process" not in run.as_json()


def test_a_run_that_was_killed_is_summed_up_from_its_events(keep: Keep) -> None:
    folder = keep(until=60)
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "process": {"pid": 1, "started": "never"}}))
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "runner_on_o')
    run = Run.load(folder)
    assert run.outcome == "broken off"
    assert run.changed == 6
    assert [phase.name for phase in run.phases] == ["validate", "prepare", "verify"]
    assert run.seconds > 0


def test_a_run_that_goes_on_is_called_so(keep: Keep) -> None:
    assert Run.load(keep(until=10)).outcome == "running"


@pytest.mark.parametrize("content", ["", "[]", '{"rc": 0, "ok": true, "hosts": {"a": {"ok": 1, "task": ""}}}'])
def test_a_damaged_or_an_older_record_is_no_error(content: str, state: Path) -> None:
    folder = state / "runs" / "20261120T080000.000000-site"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(content)
    (run,) = runs()
    assert (run.playbook, run.started) == ("site", "2026-11-20T08:00:00+00:00")
    assert run.outcome == ("succeeded" if "rc" in content else "broken off")
    assert run.seconds == 0.0


def test_runs_of_one_kind_are_compared(keep: Keep) -> None:
    first, _, _, last = keep(), keep("reset"), keep(inventory="/src/other"), keep()
    checked = keep(check=True)
    assert [run.folder for run in alike(Run.load(last), runs())] == [first, last]
    assert [run.folder for run in alike(Run.load(checked), runs())] == [checked]


def test_a_replay_looks_as_the_run_did(events: list[dict[str, object]], keep: Keep) -> None:
    now, again = (Console(file=io.StringIO(), width=80) for _ in range(2))
    progress = Progress()
    with PlainRenderer(now, progress) as renderer:
        for event in events:
            for notice in progress.feed(event):
                renderer.show(notice)
    replay(Run.load(keep()), again)
    assert again.file.getvalue() == now.file.getvalue()  # type: ignore[attr-defined]


def test_a_replay_waits_as_long_as_the_run_did_by_the_speed(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.load(keep())
    waited: list[float] = []
    moment = [0.0]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        moment[0] += seconds

    monkeypatch.setattr(history.time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(history.time, "sleep", sleep)
    replay(run, Console(file=io.StringIO()), speed=2.0)
    first, *_, last = (event["created"] for event in run.events())
    lasted = history.datetime.fromisoformat(last) - history.datetime.fromisoformat(first)
    assert sum(waited) == pytest.approx(lasted.total_seconds() / 2, abs=0.01)
    waited.clear()
    replay(run, Console(file=io.StringIO()))
    assert waited == []
