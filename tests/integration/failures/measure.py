"""One failure, measured: a client writes while it happens and until the cluster is whole again, then counts what is there."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .client import Writer, lost
from .faults import Failure, machine
from .whole import Observer, wait_until_steady

WARM_UP = 2.0
"""Seconds of writing before anything is broken."""
LEAST = 8.0
"""Seconds of writing after a failure that heals by itself."""
WITHIN = 90.0
"""Seconds in which the cluster must be whole again."""
GOAL = 2.0
"""Seconds without a successful write that a failure of one machine may cost."""


class NotWholeError(Exception):
    """The cluster lacks something before anything was broken."""


@dataclass(frozen=True)
class Result:
    """What a failure cost.

    :ivar victim: the machine that it met.
    :ivar sent: number of writes.
    :ivar acknowledged: number of those that succeeded in the end.
    :ivar lost: numbers of the writes that were acknowledged and are not there, whichever API server is asked.
    :ivar gap: longest time without a successful write, in seconds.
    :ivar whole: seconds until the cluster was whole, from the failure, or from its end where it had to be ended; None
        where it never was.
    :ivar missing: what it lacked then.
    :ivar noticed: whether the cluster was seen to lack something at the end of a failure that had to be ended; true for others.
    :ivar attempts: failed attempts at writing, by reason.
    """

    failure: Failure
    victim: str
    sent: int
    acknowledged: int
    lost: tuple[int, ...]
    gap: float
    whole: float | None
    missing: tuple[str, ...]
    noticed: bool
    attempts: dict[str, int]

    @property
    def reached(self) -> bool:
        """Whether the goals are reached."""
        return self.gap <= GOAL and not self.lost and self.whole is not None


def measure(failure: Failure, observer: Observer) -> Result:
    """Let a failure happen to a whole cluster and see what it costs. Whatever goes wrong, the failure is ended.

    :raises NotWholeError: the cluster is not whole to begin with.
    """
    before = wait_until_steady(observer.defects, least=0, within=WITHIN)
    if before.seconds is None:
        raise NotWholeError(f"before anything was broken: {'; '.join(before.missing)}")
    victim = failure.victim(observer)
    with Writer(observer.endpoint) as writer:
        writer.warm_up(WARM_UP)
        noticed = failure.hold is None
        begun = time.monotonic()
        with failure.breakage(machine(observer, victim)):
            silent = failure.silences_kubelet and victim in observer.cluster.nodes
            since = {victim: time.time()} if silent else {}
            if failure.hold is not None:
                time.sleep(failure.hold)
                noticed = bool(observer.defects(since))
                begun = time.monotonic()
        spent = time.monotonic() - begun
        steady = wait_until_steady(
            lambda: observer.defects(since), least=0 if failure.hold is not None else LEAST, within=WITHIN
        )
        writer.stop()
        here = writer.present(observer.endpoint)
        for host in observer.cluster.control_planes if steady.seconds is not None else ():
            here &= writer.present(lambda seconds: observer.api_server(host, seconds))  # noqa: B023 - called at once
    return Result(
        failure,
        victim,
        writer.sent,
        len(writer.acknowledged),
        tuple(lost(writer.acknowledged, here)),
        writer.gap,
        None if steady.seconds is None else spent + steady.seconds,
        steady.missing,
        noticed,
        dict(writer.failures),
    )
