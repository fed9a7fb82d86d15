# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for something to become true, and say what was last seen when it does not."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

T = t.TypeVar("T")


class WaitTimeoutError(KubesteadError):
    """The time was over; `last` is the last observation, `waited` the seconds spent."""

    def __init__(self, message: str, last: t.Any, waited: float) -> None:
        super().__init__(message, last_observation=last, waited_seconds=round(waited, 1))
        self.last = last
        self.waited = waited


def wait_for(
    look: t.Callable[[], T],
    done: t.Callable[[T], bool],
    what: str,
    timeout: float,
    interval: float = 0.5,
    describe: t.Callable[[T], str] = str,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
    steady: float = 0,
) -> T:
    """Look until `done` says yes of what was seen, and has said so for `steady` seconds, and return that observation.

    what names the awaited thing, timeout and interval are in seconds. Looks at least once. Raises WaitTimeoutError, whose
    message ends with `describe` of the last observation.
    """
    start = clock()
    since: t.Optional[float] = None
    while True:
        seen = look()
        now = clock()
        if not done(seen):
            since = None
        elif now - (since := now if since is None else since) >= steady:
            return seen
        waited = now - start
        if waited + interval > timeout:
            last = describe(seen) if since is None else "it, but for a moment only"
            raise WaitTimeoutError(f"Waited {waited:.0f} s for {what}. Last seen: {last}", seen, waited)
        sleep(interval)
