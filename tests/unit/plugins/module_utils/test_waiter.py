"""Waiting: at least one look, no look too many, and the last observation in the error."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_it_gives_the_observation_that_was_waited_for() -> None:
    clock = Clock()
    values = iter([1, 2, 3, 4])
    assert wait_for(lambda: next(values), lambda seen: seen == 3, "three", 10, 1, clock=clock, sleep=clock.sleep) == 3
    assert clock.now == 2


def test_what_is_there_is_not_waited_for() -> None:
    clock = Clock()
    assert wait_for(lambda: "yes", bool, "it", 0, 1, clock=clock, sleep=clock.sleep) == "yes"
    assert clock.now == 0


def test_in_vain_it_tells_for_what_for_how_long_and_what_was_last_seen() -> None:
    clock = Clock()
    with pytest.raises(WaitTimeoutError) as caught:
        wait_for(lambda: clock.now, lambda _: False, "the end", 5, 2, lambda s: f"{s:g} o'clock", clock, clock.sleep)
    assert caught.value.message == "Waited 4 s for the end. Last seen: 4 o'clock"
    assert (caught.value.last, caught.value.waited) == (4, 4)
    assert clock.now <= 5


def test_what_does_not_last_is_looked_at_again() -> None:
    clock = Clock()
    values = iter([1, 1, 0, 1, 1, 1, 1])
    assert wait_for(lambda: next(values), bool, "it", 10, 1, clock=clock, sleep=clock.sleep, steady=2) == 1
    assert clock.now == 5
    values = iter([0, 1, 0, 1])
    with pytest.raises(WaitTimeoutError, match="Last seen: it, but for a moment only"):
        wait_for(lambda: next(values), bool, "it", 3, 1, clock=clock, sleep=clock.sleep, steady=2)
