"""A client that writes numbered objects at a steady rate, and then looks which of the acknowledged ones are there."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from .connection import ATTEMPT, Connection, NoAnswerError, insist

RATE = 10
"""Writes in a second."""
LIMIT = 1200
"""Writes of one client: it stops by itself after two minutes."""
THREADS = 32
"""Writes under way at a time, so that one which is stuck does not hold up the next."""
PAUSE = 0.1
"""Seconds before a failed attempt is repeated."""
DRAIN = 15.0
"""Seconds after the last write in which those under way may still succeed."""
PAGE = 500


def longest_gap(started: float, ended: float, acknowledged: Iterable[float]) -> float:
    """The longest time without a successful write, in seconds; the window's start and end count as its bounds.

    :param started: when the first write was due; like the others on one clock, in seconds.
    :param ended: when the last write was due.
    :param acknowledged: when writes succeeded, in any order.
    """
    moments = sorted([started, *acknowledged])
    # What was due before the end may succeed after it.
    moments.append(max(ended, moments[-1]))
    return max(later - earlier for earlier, later in pairwise(moments))


def lost(acknowledged: Iterable[int], present: Iterable[int]) -> list[int]:
    """The numbers whose write was acknowledged and that are not there."""
    return sorted({*acknowledged} - {*present})


class Writer:
    """Creates ConfigMaps 0, 1, 2, ... in a namespace of its own, each when it is due, whatever becomes of those before it.

    A write is repeated until it succeeds, as an ordinary client would do it; one attempt has a second at most. Entering
    makes the namespace and begins, leaving stops and deletes the namespace.

    :param connect: makes a connection whose attempts have that many seconds.
    :ivar acknowledged: when each number's write succeeded (monotonic clock).
    :ivar failures: attempts that failed, by reason.
    """

    def __init__(self, connect: Callable[[float], Connection], limit: int = LIMIT) -> None:
        self.namespace = f"kubestead-failures-{secrets.token_hex(4)}"
        self.acknowledged: dict[int, float] = {}
        self.failures: Counter[str] = Counter()
        self.sent = 0
        self.started = self.ended = 0.0
        self._connect = connect
        self._limit = limit
        self._writes: list[Future[None]] = []
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._lock = threading.Lock()
        self._own = threading.local()
        self._connections: list[Connection] = []
        self._pool = ThreadPoolExecutor(THREADS)
        self._schedule = threading.Thread(target=self._run, name="schedule of writes")

    def __enter__(self) -> Self:
        body = {"metadata": {"name": self.namespace}}
        # Already there: an earlier attempt made it, whose answer was lost. The name is nobody else's.
        insist(lambda: self._connect(ATTEMPT), "POST", "/api/v1/namespaces", body, accept=(201, 409))
        self._schedule.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        path = f"/api/v1/namespaces/{self.namespace}"
        insist(lambda: self._connect(ATTEMPT), "DELETE", path, accept=(200, 202, 404))

    @property
    def path(self) -> str:
        """Where the objects are."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    @property
    def gap(self) -> float:
        """The longest time without a successful write, in seconds; once the writer has stopped."""
        return longest_gap(self.started, self.ended, self.acknowledged.values())

    def warm_up(self, seconds: float) -> None:
        """Write for a while, to see that writes succeed as long as nothing is broken.

        :raises NoAnswerError: hardly any did.
        """
        time.sleep(seconds)
        if len(self.acknowledged) < seconds * RATE / 2:
            raise NoAnswerError(f"before anything was broken, {len(self.acknowledged)} of {self.sent} writes succeeded")

    def stop(self) -> None:
        """Let no further write begin, and wait for those under way."""
        self._stopping.set()
        self._schedule.join()
        wait(self._writes, timeout=DRAIN)
        self._given_up.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def present(self, connect: Callable[[float], Connection]) -> set[int]:
        """The numbers that a server has, read page by page, from etcd and not from what the server remembers."""
        found: set[int] = set()
        more = ""
        while True:
            path = f"{self.path}?limit={PAGE}" + (f"&continue={quote(more)}" if more else "")
            page = insist(lambda: connect(10), "GET", path).json()
            found |= {int(item["data"]["number"]) for item in page["items"] if "number" in (item.get("data") or {})}
            more = page["metadata"].get("continue", "")
            if not more:
                return found

    def _run(self) -> None:
        self.started = time.monotonic()
        for number in range(self._limit):
            due = self.started + number / RATE
            if self._stopping.wait(max(due - time.monotonic(), 0)):
                break
            self._writes.append(self._pool.submit(self._write, number))
            self.sent += 1
        self.ended = time.monotonic()

    def _write(self, number: int) -> None:
        body = {"metadata": {"name": f"write-{number}"}, "data": {"number": str(number)}}
        repeated = False
        while not self._given_up.is_set():
            reason = self._attempt(body, repeated)
            if not reason:
                self.acknowledged[number] = time.monotonic()
                return
            with self._lock:
                self.failures[reason] += 1
            repeated = True
            self._given_up.wait(PAUSE)

    def _attempt(self, body: dict[str, Any], repeated: bool) -> str:
        """Why an attempt failed; empty where it succeeded."""
        try:
            answer = self._connection().ask("POST", self.path, body)
        except NoAnswerError as error:
            return str(error)
        # A name that is taken when a write is repeated: the earlier attempt was stored, and only its answer was lost.
        if answer.status == 201 or (answer.status == 409 and repeated):
            return ""
        return f"status {answer.status}"

    def _connection(self) -> Connection:
        """This thread's connection."""
        if not hasattr(self._own, "connection"):
            self._own.connection = self._connect(ATTEMPT)
            with self._lock:
                self._connections.append(self._own.connection)
        connection: Connection = self._own.connection
        return connection
