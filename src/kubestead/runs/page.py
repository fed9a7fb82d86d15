"""A run as files: a page to read, JUnit XML and JSON for CI systems.

The page is one file without references to others and without scripts. Each chart stands beside a table of the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kubestead.runs.history import Run
from kubestead.runs.progress import Failure
from kubestead.runs.render import harmless, seconds

TASKS = 20
HOSTS = 40
TREND = 20
_LABEL = 34  # letters of a label in a chart; the table has them all


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart.

    ``share`` is its length, 0 to 1, of the longest; ``bad`` one that failed, which is hatched and not only coloured.
    """

    label: str
    text: str
    share: float
    bad: bool = False


def write(run: Run, trend: Sequence[Run], folder: Path) -> list[Path]:
    """Write ``report.html``, ``junit.xml`` and ``report.json`` to a folder, which is made where it is missing; returns their paths.

    ``trend`` is the runs of the same kind, the oldest first, the run itself included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"report.html": page(run, trend), "junit.xml": junit(run), "report.json": as_json(run)}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8", errors="replace")
    return [folder / name for name in contents]


def as_json(run: Run) -> str:
    """What the record says, as JSON."""
    return json.dumps(run.as_json(), indent=2) + "\n"


def page(run: Run, trend: Sequence[Run]) -> str:
    """The page, as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = seconds
    shown = list(trend)[-TREND:]
    written = environment.get_template("report.html.j2").render(
        run=run,
        words=_last_words(run),
        phase_bars=_phase_bars(run),
        host_bars=_host_bars(run),
        task_bars=_bars([(task.task, task.seconds, bool(task.failed)) for task in run.tasks[:TASKS]]),
        tasks=run.tasks[:TASKS],
        rest=run.tasks[TASKS:],
        trend=shown,
        trend_bars=_bars([(str(number), other.seconds, not _good(other)) for number, other in enumerate(shown, 1)]),
    )
    return harmless(written)


def junit(run: Run) -> str:
    """The run as JUnit XML: a suite for each phase, in it a test case for each host, failed as the host did."""
    failures = {(failure.phase, failure.host): failure for failure in run.failures}
    cases = {(phase, host): took for host, phases in run.host_seconds.items() for phase, took in phases.items()}
    cases.update({key: 0.0 for key in failures if key not in cases})
    root = ET.Element("testsuites", name=f"kubestead {run.name}")
    for phase in dict.fromkeys([*(phase.name for phase in run.phases), *(phase for phase, _ in cases)]):
        suite = ET.SubElement(root, "testsuite", name=phase, timestamp=run.started)
        for (_, host), took in ((key, took) for key, took in cases.items() if key[0] == phase):
            case = ET.SubElement(suite, "testcase", classname=phase, name=host, time=f"{took:.1f}")
            if failure := failures.get((phase, host)):
                _verdict(case, "error" if failure.unreachable else "failure", failure.task, _detail(failure))
        took = sum(entry.seconds for entry in run.phases if entry.name == phase)
        _count(suite, took)
    if not _good(run) and not failures:
        suite = ET.SubElement(root, "testsuite", name="run", timestamp=run.started)
        case = ET.SubElement(suite, "testcase", classname="run", name=run.name, time="0.0")
        _verdict(case, "error", run.reason or f"the run {run.outcome}", _last_words(run))
        _count(suite, 0.0)
    _count(root, run.seconds)
    ET.indent(root)
    return harmless(ET.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _verdict(case: ET.Element, kind: str, message: str, detail: str) -> None:
    ET.SubElement(case, kind, message=message, type=kind).text = detail


def _count(element: ET.Element, took: float) -> None:
    for plural, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(plural, str(sum(1 for _ in element.iter(tag))))
    element.set("time", f"{took:.1f}")


def _detail(failure: Failure) -> str:
    return f"{failure.path}\n{failure.message}"


def _good(run: Run) -> bool:
    return run.outcome in ("succeeded", "running")


def _last_words(run: Run) -> str:
    """The end of what Ansible printed, for a run that failed before any task could."""
    if _good(run) or run.failures:
        return ""
    try:
        text = (run.folder / "output.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-30:])


def _phase_bars(run: Run) -> list[Bar]:
    failed = {failure.phase for failure in run.failures}
    return _bars([(phase.name, phase.seconds, phase.name in failed) for phase in run.phases])


def _host_bars(run: Run) -> list[Bar]:
    failed = {failure.host for failure in run.failures}
    took = [(name, sum(phases.values()), name in failed) for name, phases in run.host_seconds.items()]
    longest = sorted(took, key=lambda host: -host[1])[:HOSTS]
    return _bars([host for host in took if host in longest])


def _bars(values: Sequence[tuple[str, float, bool]]) -> list[Bar]:
    most = max((value for _, value, _ in values), default=0.0) or 1.0
    return [
        Bar(
            label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…",
            seconds(value) + " ✗" * bad,
            round(value / most, 4),
            bad,
        )
        for label, value, bad in values
    ]
