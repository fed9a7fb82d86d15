"""The page that the figures land on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ...integration.failures.faults import FAILURES
from ...integration.failures.measure import Result
from ...integration.failures.report import COMMAND, Setting, line, page

RESULT = Result(
    failure=FAILURES[1],
    victim="load-balancer-1",
    sent=201,
    acknowledged=200,
    lost=(),
    gap=1.234,
    whole=12.6,
    missing=(),
    noticed=True,
    attempts={"TimeoutError": 3, "Connection refused": 1},
)
SETTING = Setting("2 cores", "3 control planes", {"Kubernetes": "1.36.4", "haproxy": "2.6.12"}, date(2026, 11, 21))


def test_a_goal_is_reached_or_missed() -> None:
    assert RESULT.reached
    assert not replace(RESULT, gap=2.01).reached
    assert not replace(RESULT, lost=(7,)).reached
    assert not replace(RESULT, whole=None).reached


def test_the_page_tells_the_figures_and_how_to_get_them() -> None:
    bad = replace(RESULT, failure=FAILURES[2], gap=4.5, lost=(7, 8), whole=None)
    text = page([RESULT, bad], SETTING)
    rows = [row for row in text.splitlines() if row.startswith("| virtual address")]
    assert rows == [
        "| virtual address: its machine loses power | 1.23 s | 0 of 200 | 13 s | reached |",
        "| virtual address: its haproxy is killed | 4.50 s | 2 of 200 | never | **missed** |",
    ]
    assert f"$ {COMMAND}" in text
    assert "2026-11-21" in text
    assert "Kubernetes 1.36.4, haproxy 2.6.12" in text
    assert max(map(len, text.splitlines())) <= 160


def test_a_line_of_the_terminal_names_the_machine_and_the_failed_attempts() -> None:
    assert line(RESULT).split("  ")[-1] == "load-balancer-1, Connection refused: 1, TimeoutError: 3"
    assert line(replace(RESULT, noticed=False)).endswith(", the failure could not be seen")
