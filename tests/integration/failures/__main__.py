"""Breaks a running, highly available lab in one way after another, and tells what each costs.

The lab is the one that `kubestead lab up -i INVENTORY` made. Every failure is ended, also when this is interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ..cluster import Cluster
from .faults import FAILURES
from .measure import measure
from .report import HEADING, Setting, in_words, line, page, this_machine
from .whole import Observer


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1: a write was lost, the cluster did not become whole again, or a failure could not be seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.failures", description=__doc__)
    parser.add_argument("-i", "--inventory", type=Path, required=True, help="folder of the lab's inventory")
    names = [failure.name for failure in FAILURES]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page of the documentation")
    options = parser.parse_args(arguments)
    if options.write and options.only:
        parser.error("--write is for all failures: leave out --only")
    # As Ctrl-C does it: through every `finally`, so that nothing stays broken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    observer = Observer(Cluster(options.inventory))
    print(HEADING, flush=True)
    results = []
    for failure in FAILURES:
        if failure.name in (options.only or names):
            results.append(measure(failure, observer))
            print(line(results[-1]), *results[-1].missing, sep="\n  missing: ", flush=True)
    if options.write:
        setting = Setting(this_machine(), in_words(observer.cluster), observer.versions, date.today())
        options.write.write_text(page(results, setting))
    return int(any(result.lost or result.whole is None or not result.noticed for result in results))


if __name__ == "__main__":
    sys.exit(main())
