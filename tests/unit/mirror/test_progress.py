from __future__ import annotations

import io
import re

from rich.console import Console

from kubestead.mirror.progress import Bar, Plain


def test_plain_lines_tell_the_start_the_end_and_how_far_it_is() -> None:
    written = io.StringIO()
    plain = Plain(Console(file=written, width=20))
    plain.plan({"kubelet [x]": 200, "pause": 1})
    plain.started("kubelet [x]")
    plain.finished("kubelet [x]", 12.4)
    plain.note("a note")
    assert written.getvalue().splitlines() == [
        "2 artefacts to make, about 3 min of work for two cores",
        "kubelet [x]: started",
        "kubelet [x]: done in 12 s (1 of 2)",
        "a note",
    ]


def test_fetching_has_no_estimate() -> None:
    written = io.StringIO()
    Plain(Console(file=written)).plan({"kubelet": 0})
    assert written.getvalue() == "1 artefact to fetch\n"


def test_the_bar_moves_by_what_a_step_costs() -> None:
    written = io.StringIO()
    with Bar(Console(file=written, force_terminal=True, width=100)) as bar:
        bar.plan({"kubelet": 90, "pause": 10})
        bar.started("kubelet")
        bar.finished("kubelet", 80.0)
        bar.started("pause")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    assert "kubelet in 80 s" in text
    assert "90%" in text
    assert "pause" in text
