from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app
from kubestead.runs.progress import Progress
from kubestead.runs.record import Record

RECORDED = Path(__file__).parents[1] / "runs" / "recorded" / "events.json"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "kubestead" / "runs"


@pytest.fixture
def cli() -> CliRunner:
    return CliRunner()


def kept(root: Path, playbook: str = "site", *, ended: bool = True) -> Path:
    about = {
        "playbook": playbook,
        "inventory": "/src/home",
        "cluster": "home",
        "command": f"ansible-playbook kubestead.cluster.{playbook} -i home",
        "started": "2026-11-21T05:57:58+00:00",
        "inventory_digest": "sha256:abc",
        "versions": {"kubestead": "0.1.0"},
    }
    record = Record.begin(playbook, root, about)
    progress = Progress()
    for event in json.loads(RECORDED.read_text(encoding="utf-8")):
        list(progress.feed(event))
        record.event(event, progress)
    if ended:
        record.end({"ok": False, "rc": 2, "outcome": "failed"}, progress)
    return record.directory


def test_without_records_that_is_what_is_said(cli: CliRunner) -> None:
    assert cli.invoke(app, ["runs", "list"]).output == "There is no record of a run yet.\n"
    assert cli.invoke(app, ["runs", "list", "--json"]).output == "[]\n"
    result = cli.invoke(app, ["runs", "show"])
    assert result.exit_code == 2
    assert "no record of a run yet" in result.output


def test_the_list_has_a_row_for_each_run(cli: CliRunner, root: Path) -> None:
    first, second = kept(root), kept(root, "reset", ended=False)
    header, *rows = cli.invoke(app, ["runs", "list"]).output.splitlines()
    assert header.split() == ["run", "when", "playbook", "cluster", "outcome", "time", "changed"]
    assert [row.split()[4:6] for row in rows] == [["reset", "home"], ["site", "home"]]
    assert datetime(2026, 11, 21, 5, 57, tzinfo=UTC).astimezone().strftime("%d %b %H:%M") in rows[1]
    assert rows[1].split()[6:] == ["failed", "2.5", "s", "6"]
    assert "running" in rows[0]
    assert max(map(len, rows)) <= 80
    for row, folder in zip(rows, (second, first), strict=True):
        shown = cli.invoke(app, ["runs", "show", row.split()[0], "--json"])
        assert json.loads(shown.output)["id"] == folder.name


def test_the_list_for_machines(cli: CliRunner, root: Path) -> None:
    folder = kept(root)
    (run,) = json.loads(cli.invoke(app, ["runs", "list", "--json"]).output)
    assert (run["id"], run["playbook"], run["cluster"], run["outcome"], run["rc"]) == (
        folder.name,
        "site",
        "home",
        "failed",
        2,
    )
    assert (run["changed"], run["inventory"]) == (6, "/src/home")


def test_show_tells_all_of_a_run(cli: CliRunner, root: Path) -> None:
    folder = kept(root)
    output = cli.invoke(app, ["runs", "show", "last"]).output
    for expected in (
        *(folder.name, "ansible-playbook kubestead.cluster.site -i home", "sha256:abc", "kubestead 0.1.0"),
        *("prepare", "control-plane-1", "Write a file", "Failed on worker-1", "no space left", str(folder)),
    ):
        assert expected in output
    assert max(len(line) for line in output.splitlines() if "ssh" not in line and "/" not in line) <= 80


def test_replay_shows_the_run_and_how_it_ended(cli: CliRunner, root: Path) -> None:
    kept(root)
    output = cli.invoke(app, ["runs", "replay"]).output
    lines = output.splitlines()
    assert lines[0] == "ansible-playbook kubestead.cluster.site -i home"
    assert lines[1] == "phase validate"
    assert "  control-plane-1: changed: Write a file" in lines
    assert "Failed on worker-1" in lines


def test_replay_of_a_run_without_an_end_says_so(cli: CliRunner, root: Path) -> None:
    folder = kept(root, ended=False)
    assert cli.invoke(app, ["runs", "replay"]).output.endswith("It is still running.\n")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "process": {"pid": 1, "started": "never"}}))
    assert cli.invoke(app, ["runs", "replay"]).output.endswith("Broken off: the record ends here.\n")


def test_a_run_that_there_is_not_is_an_error_of_usage(cli: CliRunner, root: Path) -> None:
    kept(root)
    for words in (["runs", "show", "x"], ["runs", "replay", "x"], ["report", "x"]):
        result = cli.invoke(app, words)
        assert result.exit_code == 2
        assert "kubestead: no run begins with 'x'; `kubestead runs list` names them" in result.output


def test_a_report_goes_to_the_record_or_where_one_likes(cli: CliRunner, root: Path, tmp_path: Path) -> None:
    folder = kept(root)
    assert cli.invoke(app, ["report"]).output.splitlines()[0] == str(folder / "report.html")
    result = cli.invoke(app, ["report", folder.name, "--output", str(tmp_path / "out")])
    names = ("report.html", "junit.xml", "report.json")
    assert result.output.splitlines() == [str(tmp_path / "out" / name) for name in names]
    assert all((tmp_path / "out" / name).is_file() for name in names)


def test_a_report_that_cannot_be_written_says_why(cli: CliRunner, root: Path) -> None:
    kept(root)
    result = cli.invoke(app, ["report", "--output", "/proc/nowhere"])
    assert result.exit_code == 1
    assert "kubestead: the report cannot be written: " in result.output
