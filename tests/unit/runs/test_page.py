"""The report of a run: read as a browser reads it, by Python's parser always and by Chromium where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kubestead.runs import page
from kubestead.runs.history import Run
from kubestead.runs.render import seconds

Keep = Callable[..., Path]
EVIL = "<script>alert(1)</script>\"' & <img src=https://example.com/x> url(https://example.com) \x1b[31m"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """Collects elements, texts by their innermost id, and rows of tables; tells of elements that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.rows: dict[str, list[list[str]]] = {}
        self._table = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = str(dict(attrs).get("id"))
        elif tag == "tr":
            self.rows.setdefault(self._table, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "td" in self.open or ("th" in self.open and "tr" in self.open):
            self.rows[self._table][-1][-1] += data


@pytest.fixture
def evil(keep: Keep) -> Run:
    """A run whose every word is out to break the page."""
    folder = keep()
    about = json.loads((folder / "run.json").read_text())
    about |= {"cluster": EVIL, "inventory": EVIL, "command": EVIL, "started": EVIL, "versions": {EVIL: EVIL}}
    about["failures"][0] |= {"host": EVIL, "task": EVIL, "message": EVIL, "path": EVIL, "phase": EVIL}
    about["tasks"][0] |= {"task": EVIL, "phase": EVIL}
    about["changes"][0] |= {"host": EVIL, "phase": EVIL, "task": EVIL}
    about["phases"][0]["name"] = EVIL
    about["hosts"][EVIL] = about["hosts"].pop("worker-1")
    (folder / "run.json").write_text(json.dumps(about))
    return Run.load(folder)


def check_references(reader: Reader) -> None:
    """Nothing on the page leads out of it, and nothing in it runs."""
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "div",
        "span",
    }
    allowed |= {"strong", "br", "code", "pre", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"svg", "defs", "pattern", "rect", "text"}
    assert {tag for tag, _ in reader.tags} <= allowed
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"}
    assert not [name for name in names if name.startswith("on")]
    styles = " ".join(str(attributes.get("style", "")) for _, attributes in reader.tags)
    assert "url(" not in styles


def test_the_page_has_no_reference_to_anything_else(evil: Run) -> None:
    text = page.page(evil, [evil])
    check_references(Reader(text))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert re.findall(r"url\((.*?)\)", style) == ["#hatched"]
    assert "@import" not in style
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in style


def test_values_are_escaped_and_stay_readable(evil: Run) -> None:
    text = page.page(evil, [evil])
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    reader = Reader(text)
    assert reader.open == []
    assert "<script>alert(1)</script>" in reader.text


def test_the_totals_are_the_records(keep: Keep) -> None:
    run = Run.load(keep())
    about = json.loads((run.folder / "run.json").read_text())
    reader = Reader(page.page(run, [run]))
    assert f"{seconds(about['seconds'])}, 6 changed" in reader.text
    phases = [[phase["name"], seconds(phase["seconds"]), str(phase["changed"])] for phase in about["phases"]]
    assert reader.rows["phases"][1:] == phases
    for row, (name, host) in zip(reader.rows["hosts"][1:], about["hosts"].items(), strict=True):
        bad = host["failed"] + host["unreachable"]
        assert row[:5] == [name, seconds(host["seconds"]), str(host["ok"]), str(host["changed"]), str(bad)]
        assert len(row) == 5 + len(phases)
    assert sum(int(row[4]) for row in reader.rows["tasks"][1:]) == 6
    assert len(reader.rows["changes"][1:]) == 6
    for failure in about["failures"]:
        assert failure["message"] in reader.text
        assert failure["path"] in reader.text


def test_every_chart_stands_beside_a_table(keep: Keep) -> None:
    reader = Reader(page.page(run := Run.load(keep()), [run]))
    charts = [attributes for tag, attributes in reader.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 4
    assert all(str(chart["aria-label"]).endswith("the table has the same figures") for chart in charts)
    order = [tag for tag, attributes in reader.tags if tag == "table" or attributes.get("role") == "img"]
    assert order[:8] == ["svg", "table"] * 3 + ["table", "svg"]
    assert {"phases", "hosts", "tasks", "trend"} <= set(reader.rows)


def test_what_failed_is_told_without_colour_too(keep: Keep) -> None:
    text = page.page(run := Run.load(keep()), [run])
    assert len(re.findall(r'<rect class="bad"', text)) == len(re.findall(r"✗</text>", text)) > 0


def test_tasks_beyond_the_costliest_are_summed_up(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "TASKS", 3)
    run = Run.load(keep())
    rows = Reader(page.page(run, [run])).rows["tasks"][1:]
    assert len(rows) == 4
    assert rows[-1][0] == f"{len(run.tasks) - 3} more"
    assert sum(int(row[4]) for row in rows) == 6


def test_the_trend_names_each_run_and_marks_this_one(keep: Keep) -> None:
    before, run = Run.load(keep()), Run.load(keep())
    rows = Reader(page.page(run, [before, run])).rows["trend"][1:]
    assert [row[:3] for row in rows] == [["1", before.id, "failed"], ["2", f"{run.id} (this one)", "failed"]]


def test_a_run_that_never_began_shows_ansibles_words(keep: Keep) -> None:
    folder = keep(until=1)
    (folder / "run.json").write_text('{"rc": 4, "ok": false}')
    (folder / "output.log").write_text("ERROR! Syntax Error <b>\n")
    run = Run.load(folder)
    assert "ERROR! Syntax Error &lt;b&gt;" in page.page(run, [run])
    suites = ET.fromstring(page.junit(run))
    assert suites.get("errors") == "1"
    assert "Syntax Error" in str(suites.findtext(".//error"))


def test_junit_counts_what_the_record_counts(keep: Keep) -> None:
    run = Run.load(keep())
    suites = ET.fromstring(page.junit(run))
    assert [suite.get("name") for suite in suites] == ["validate", "prepare", "verify"]
    assert suites.get("time") == f"{run.seconds:.1f}"
    assert (suites.get("failures"), suites.get("errors")) == ("2", "1")
    assert int(str(suites.get("tests"))) == sum(len(phases) for phases in run.host_seconds.values())
    (unreachable,) = suites.iterfind(".//error")
    assert "Failed to connect" in str(unreachable.text)
    assert {case.get("name") for case in suites.iterfind(".//testcase") if len(case)} == {
        "worker-1",
        "worker-2",
        "worker-3",
    }


def test_junit_holds_any_message(evil: Run) -> None:
    suites = ET.fromstring(page.junit(evil))
    assert "<script>alert(1)</script>" in "".join(suites.itertext())


def test_json_is_the_record(keep: Keep) -> None:
    run = Run.load(keep())
    said = json.loads(page.as_json(run))
    about = json.loads((run.folder / "run.json").read_text())
    assert {key: said[key] for key in ("seconds", "phases", "hosts", "failures", "tasks")} == {
        key: about[key] for key in ("seconds", "phases", "hosts", "failures", "tasks")
    }
    assert (said["format"] if "format" in about else 1, said["changed"], said["id"]) == (1, 6, run.id)


def test_the_files_are_written_to_a_folder_that_is_made(keep: Keep, tmp_path: Path) -> None:
    run = Run.load(keep())
    written = page.write(run, [run], tmp_path / "a" / "b")
    assert [path.name for path in written] == ["report.html", "junit.xml", "report.json"]
    assert all(path.stat().st_size for path in written)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser. A CI machine gets Debian's; a developer's is left as it is."""

    def found() -> str | None:
        return next(
            (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
        )

    if not found() and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run(
                ["apt-get", "-o", "DPkg::Lock::Timeout=200", *words], check=False, capture_output=True, timeout=300
            )
    return found() or pytest.skip("needs Chromium, or CI=true as root on Debian, where it is installed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_real_browser_shows_it(scheme: str, chromium: str, evil: Run, tmp_path: Path) -> None:
    file, log = page.write(evil, [evil], tmp_path / "report")[0], tmp_path / "net.json"
    number = {"dark": 0, "light": 1}[scheme]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", f"--log-net-log={log}"]
    options += [f"--user-data-dir={tmp_path}/profile", f"--blink-settings=preferredColorScheme={number}", "--dump-dom"]
    shown = subprocess.run([chromium, *options, file.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    reader = Reader(shown.stdout)
    check_references(reader)
    assert f"{seconds(evil.seconds)}, 6 changed" in reader.text
    assert len([tag for tag, attributes in reader.tags if attributes.get("class") in ("bar", "bad")]) > 10
    assert "example.com" not in log.read_text(), "no address in a message is fetched"
