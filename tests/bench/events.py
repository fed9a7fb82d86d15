"""What showing and recording a run costs: CPU time for each event, and its share of a real run of Ansible.

Prints figures and judges none: ``python tests/bench/events.py``. The goal is 5 % of a run at most.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from kubestead.runs import run_playbook
from kubestead.runs.progress import Progress
from kubestead.runs.record import Record
from kubestead.runs.render import LiveRenderer, PlainRenderer, Renderer

RECORDED = Path(__file__).parents[1] / "unit/runs/recorded/events.json"


def handled(
    events: list[dict[str, Any]], make: Callable[[Console, Progress], Renderer], rounds: int, folder: Path
) -> float:
    """CPU seconds of this process for one event: taken in, recorded, shown; the live view's redrawing included."""
    console = Console(file=io.StringIO(), width=80, force_terminal=make is LiveRenderer)
    progress, record = Progress(), Record.begin("site", folder)
    started = time.process_time()
    with make(console, progress) as renderer:
        for _ in range(rounds):
            for event in events:
                notices = list(progress.feed(event))
                record.event(event, progress)
                for notice in notices:
                    renderer.show(notice)
    return (time.process_time() - started) / rounds / len(events)


def cpu(whose: int) -> float:
    """CPU seconds so far, of this process or of its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def real_run(folder: Path, hosts: int, tasks: int) -> tuple[float, float, float, int]:
    """Run a playbook on this machine; seconds, CPU seconds of ours and of Ansible's, and the number of events."""
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = {"all": {"vars": variables, "hosts": {f"worker-{number}": {} for number in range(hosts)}}}
    (folder / "hosts.yml").write_text(json.dumps(inventory))
    task = {"name": "Look", "ansible.builtin.command": {"argv": ["true"]}}
    play = {"name": "prepare", "hosts": "all", "gather_facts": False, "tasks": [task] * tasks}
    (folder / "play.yml").write_text(json.dumps([play]))
    ours, theirs, started = cpu(resource.RUSAGE_SELF), cpu(resource.RUSAGE_CHILDREN), time.monotonic()
    result = run_playbook(
        str(folder / "play.yml"),
        folder / "hosts.yml",
        console=Console(file=io.StringIO(), width=80, force_terminal=True),
        records=folder / "runs",
    )
    seconds = time.monotonic() - started
    count = len((result.record / "events.jsonl").read_text().splitlines())
    return seconds, cpu(resource.RUSAGE_SELF) - ours, cpu(resource.RUSAGE_CHILDREN) - theirs, count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how often the recorded events are handled")
    parser.add_argument("--hosts", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=20)
    wanted = parser.parse_args()
    events = json.loads(RECORDED.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plain = handled(events, PlainRenderer, wanted.rounds, folder)
        live = handled(events, LiveRenderer, wanted.rounds, folder)
        seconds, ours, theirs, count = real_run(folder, wanted.hosts, wanted.tasks)
    print(f"CPU for an event, plain lines:    {plain * 1e6:8.0f} µs")
    print(f"CPU for an event, live view:      {live * 1e6:8.0f} µs")
    print(f"a run of {wanted.tasks} tasks on {wanted.hosts} hosts:      {seconds:8.1f} s, {count} events")
    print(f"handling these, of the run:       {live * count / seconds:8.1%}")
    print(f"CPU of ansible-playbook:          {theirs:8.1f} s")
    print(f"CPU of all that goes with it:     {ours:8.1f} s, {ours / (ours + theirs):.1%} of both")


if __name__ == "__main__":
    main()
