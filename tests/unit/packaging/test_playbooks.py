"""What holds for every play: how a run ends when a host is lost in it.

Ansible 2.19 was tried with a host that refuses SSH. With any_errors_fatal alone the next play begins on the other hosts; with serial beside
it the next batch does too. What ends the whole run is max_fail_percentage: 0 with any_errors_fatal, or serial: 1 with neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYS: list[tuple[str, dict[str, Any]]] = [
    (f"{path.stem}: {play['name']}", play)
    for path in sorted((Path(__file__).parents[3] / "playbooks").glob("*.yml"))
    for play in yaml.safe_load(path.read_text())
    if "hosts" in play
]


@pytest.mark.parametrize("play", [pytest.param(play, id=name) for name, play in PLAYS if play.get("any_errors_fatal")])
def test_what_one_lost_host_ends_it_ends_altogether(play: dict[str, Any]) -> None:
    assert play.get("max_fail_percentage") == 0
    assert "serial" not in play


@pytest.mark.parametrize("play", [pytest.param(play, id=name) for name, play in PLAYS if "serial" in play])
def test_after_a_lost_host_no_further_batch_begins(play: dict[str, Any]) -> None:
    assert play["serial"] == 1 or "ansible_play_hosts_all | difference(ansible_play_hosts)" in str(play["tasks"][0])
