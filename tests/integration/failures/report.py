"""The figures as a table to read while they come, and as the page of the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ..cluster import Cluster
from .client import RATE
from .faults import HOLD, HOLD_KUBELET, SHUTDOWN
from .measure import GOAL, Result
from .whole import STEADY

COMMAND = "python -m tests.integration.failures -i inventories/lab-ha --write docs/failures.md"
PAGE = """\
# What a failure costs

<!-- Written by `{command}`. Edit tests/integration/failures/report.py instead. -->

One thing at a time is broken in a highly available cluster, while a client writes a numbered object through the virtual
address {rate} times a second and in the end reads all of them back. These figures are from one run, on {day}.

| what is broken | longest gap without a successful write | acknowledged, lost | whole again after | goal |
| --- | ---: | ---: | ---: | --- |
{rows}

The goal is a gap of at most {goal:g} s for the failure of one machine, and no acknowledged write lost. The client begins a write every
{interval:g} s, so a gap is hardly ever shorter than that: the first line shows what the same machine does when nothing is broken.

- **Machine**: {machine}. The load on it is part of the figures.
- **Cluster**: {cluster}.
- **Versions**: {versions}.

## How it is measured

An attempt at a write has one second and is then repeated, as an ordinary client would do it, until the write succeeds. A gap is
the longest time between two successes, from two seconds before the failure until the cluster is whole again, so it also covers
what the return of the broken part does to the others. Lost is what was acknowledged and is missing when the virtual address or
any control plane is asked for all objects afterwards.

Of the control planes it is always the one whose etcd leads. A machine stays without power or network for {hold:g} seconds, a
kubelet stopped for {hold_kubelet:g}; a reboot is an orderly shutdown of {shutdown} seconds at most and a start at once. The time
until the cluster is whole again counts from the end of such a failure, and from the failure itself where a process is killed,
which nobody starts again by hand. Whole means: every node Ready, and its kubelet heard of since; every API server ready; every
member of etcd healthy, with a vote; haproxy and keepalived running on every load balancer, and every API server up in its
haproxy; the virtual address on one machine; and all of it for {steady:g} seconds on end.

To measure it on your machine:

```console
$ kubestead lab up -i inventories/lab-ha
$ {command}
```

The same failures are tests: `pytest tests/integration/test_ha_failures.py`. They hold every failure to no lost write and to a whole cluster
afterwards, and the gap only to what a busy machine can keep too.
"""
HEADING = f"{'what is broken':55} {'gap':>7} {'lost':>4} {'of':>5} {'whole':>7}  machine, failed attempts"


@dataclass(frozen=True)
class Setting:
    """Where figures come from, in words that name no host and no path."""

    machine: str
    cluster: str
    versions: Mapping[str, str]
    day: date


def this_machine() -> str:
    """This machine in words: what it has, not what it is called."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {processor()}, Linux {platform.release().partition('-')[0]}"


def processor() -> str:
    """The processor's name, or its architecture where Linux does not tell one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def in_words(cluster: Cluster) -> str:
    """What a cluster consists of."""
    parts = {
        "load balancers": cluster.load_balancers,
        "control planes": cluster.control_planes,
        "nodes in all": cluster.nodes,
    }
    counted = ", ".join(f"{len(hosts)} {what}" for what, hosts in parts.items())
    return f"{counted}; each a container of the lab on that one machine"


def line(result: Result) -> str:
    """A result in one line of the terminal."""
    whole = "never" if result.whole is None else f"{result.whole:.1f} s"
    remarks = [result.victim, *(f"{reason}: {count}" for reason, count in sorted(result.attempts.items()))]
    remarks += [] if result.noticed else ["the failure could not be seen"]
    return (
        f"{result.failure.title:55} {result.gap:5.2f} s {len(result.lost):4} {result.acknowledged:5} {whole:>7}  "
        f"{', '.join(remarks)}"
    )


def row(result: Result) -> str:
    """A result as a row of the page's table."""
    whole = "never" if result.whole is None else f"{result.whole:.0f} s"
    cells = (
        result.failure.title,
        f"{result.gap:.2f} s",
        f"{len(result.lost)} of {result.acknowledged}",
        whole,
        "reached" if result.reached else "**missed**",
    )
    return f"| {' | '.join(cells)} |"


def page(results: Sequence[Result], setting: Setting) -> str:
    """The page of the documentation."""
    return PAGE.format(
        command=COMMAND,
        rate=RATE,
        interval=1 / RATE,
        goal=GOAL,
        hold=HOLD,
        hold_kubelet=HOLD_KUBELET,
        shutdown=SHUTDOWN,
        steady=STEADY,
        day=setting.day.isoformat(),
        machine=setting.machine,
        cluster=setting.cluster,
        versions=", ".join(f"{name} {version}" for name, version in setting.versions.items()),
        rows="\n".join(map(row, results)),
    )
