from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from kubestead.runs.progress import PHASES, HostStats, Notice, Progress
from kubestead.runs.render import LiveRenderer, PlainRenderer, choose_renderer, seconds


def plain_output(events: list[dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=100)
    progress = Progress()
    with PlainRenderer(console, progress) as renderer:
        for event in events:
            for notice in progress.feed(event):
                renderer.show(notice)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_plain_lines(events: list[dict[str, Any]]) -> None:
    lines = plain_output(events).splitlines()
    assert lines[0] == "phase validate"
    assert lines[1] == "  localhost: The inventory is right."
    assert "  control-plane-1: changed: Write a file" in lines
    assert "  worker-2: failed: Write a file: Task failed: Failed to connect to the host via ssh:" in "\n".join(lines)
    assert any(line.startswith("phase prepare: ") and line.endswith(", 6 changed") for line in lines)


def test_plain_lines_hold_no_control_characters_and_no_secret(events: list[dict[str, Any]]) -> None:
    output = plain_output(events)
    assert "\x1b" not in output
    assert "top-secret-value" not in output


def test_plain_lines_are_never_wrapped_and_square_brackets_stay() -> None:
    console = Console(file=io.StringIO(), width=20)
    PlainRenderer(console, Progress()).show(Notice("failed", "[bold]no room[/] " + "x" * 50, "worker-1", "Install"))
    assert console.file.getvalue() == "  worker-1: failed: Install: [bold]no room[/] " + "x" * 50 + "\n"  # type: ignore[attr-defined]


def live_text(progress: Progress, now: float) -> str:
    console = Console(file=io.StringIO(), width=100, height=40)
    console.print(LiveRenderer(console, progress, clock=lambda: now).view())
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_live_view_shows_phase_time_and_each_hosts_task(events: list[dict[str, Any]]) -> None:
    progress = Progress()
    last = next(
        i
        for i, event in enumerate(events)
        if event["event"] == "runner_on_start" and event["event_data"]["host"] == "worker-3"
    )
    for event in events[: last + 1]:
        list(progress.feed(event))
    header, _, *rows = live_text(progress, progress.now + 100).splitlines()
    assert header.split()[:4] == ["▸", "prepare", "1", "min"]
    assert [row.split()[0] for row in rows] == ["localhost", "control-plane-1", "worker-1", "worker-2", "worker-3"]
    assert "Write a file" in rows[-1]


def test_many_hosts_show_the_busy_ones_first() -> None:
    progress = Progress(hosts={f"worker-{number}": HostStats() for number in range(50)})
    progress.hosts["worker-49"].task = "Join the cluster"
    text = live_text(progress, 0.0)
    assert "Join the cluster" in text
    assert "and 30 more hosts" in text


@pytest.mark.parametrize(
    ("terminal", "ci", "expected"),
    [(True, None, LiveRenderer), (True, "true", PlainRenderer), (False, None, PlainRenderer)],
)
def test_the_live_view_is_for_terminals_only(
    terminal: bool, ci: str | None, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if ci:
        monkeypatch.setenv("CI", ci)
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert isinstance(choose_renderer(console, Progress()), expected)


def test_plain_lines_hold_the_counts_of_each_host_in_a_phase(events: list[dict[str, Any]]) -> None:
    lines = plain_output(events).splitlines()
    end = next(index for index, line in enumerate(lines) if line.startswith("phase prepare: "))
    assert lines[end + 1 : end + 5] == [
        "  control-plane-1: 4 ok, 2 changed, 1 failed, 1 skipped",
        "  worker-1: 4 ok, 2 changed, 1 failed, 1 skipped",
        "  worker-2: 1 unreachable",
        "  worker-3: 4 ok, 2 changed, 1 failed, 1 skipped",
    ]


def test_what_would_move_the_cursor_is_left_out() -> None:
    console = Console(file=io.StringIO(), width=80)
    PlainRenderer(console, Progress()).show(Notice("note", "a \x1b[31mred\x1b[0m\x07 word\nand more", "worker-1"))
    assert console.file.getvalue() == "  worker-1: a red word\n  worker-1: and more\n"  # type: ignore[attr-defined]


def test_plain_is_what_one_may_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("KUBESTEAD_PLAIN", "1")
    assert isinstance(choose_renderer(Console(file=io.StringIO(), force_terminal=True), Progress()), PlainRenderer)


def test_the_live_view_fits_eighty_columns_and_needs_no_colour(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    progress = Progress(planned=PHASES)
    for event in events:
        if event["event"] == "playbook_on_stats":
            break
        list(progress.feed(event))
    progress.hosts["a" * 63] = HostStats(task="containerd : Install a package with a name that is far too long " * 2)
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system="truecolor")
    console.print(LiveRenderer(console, progress, clock=lambda: progress.now).view())
    output = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38)[;m]", output), "no colour"
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if "aaaa" in line]
    assert row.split()[-3:] == ["0", "0", "0"]
    assert "Install a package" in row


def test_the_live_view_names_the_phases_to_come() -> None:
    progress = Progress(planned=PHASES)
    list(progress.feed({"event": "playbook_on_play_start", "event_data": {"name": "Network"}}))
    assert live_text(progress, 0.0).splitlines()[-1] == "  then add-ons, verify"
    assert "then" not in live_text(Progress(), 0.0)


def test_a_low_terminal_shows_fewer_hosts() -> None:
    progress = Progress(hosts={f"worker-{number}": HostStats() for number in range(9)})
    console = Console(file=io.StringIO(), width=80, height=10)
    console.print(LiveRenderer(console, progress, clock=lambda: 0.0).view())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "and 4 more hosts" in lines[-1]
    assert len(lines) < 10


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (125, "2 min 05 s")])
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text
