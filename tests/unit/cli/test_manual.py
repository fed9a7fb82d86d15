from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from kubestead import manual
from kubestead.cli import running
from kubestead.cli.main import app

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def page() -> str:
    return manual.render()


def test_the_committed_page_is_what_the_command_says_now(page: str) -> None:
    assert (ROOT / manual.PAGE).read_text(encoding="utf-8") == page, "write it again: python -m kubestead.manual"


def test_it_tells_of_every_command_and_option(page: str) -> None:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for path in [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]:
            assert re.search(rf"^\.SS kubestead {path}\b", page, re.MULTILINE), path
    assert ".B \\-\\-time\\-limit TIME\n" in page


def test_it_tells_of_every_exit_code() -> None:
    assert set(manual.EXIT) == {0, running.FAILED, running.USAGE, running.LOCKED, running.TIMED_OUT, running.STOPPED}


def test_an_outdated_page_is_named_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / manual.PAGE).write_text("old", encoding="utf-8")
    assert manual.main(["--check"]) == 1
    assert (tmp_path / manual.PAGE).read_text(encoding="utf-8") == "old"
    assert manual.main([]) == 0
    assert (tmp_path / manual.PAGE).read_text(encoding="utf-8") == page
    assert manual.main(["--check"]) == 0
    assert capsys.readouterr().out == "docs/kubestead.1\n" * 2


@pytest.mark.parametrize(
    ("said", "written"),
    [(".hidden", "\\&.hidden"), ("a \\ b", "a \\e b"), ("--yes", "\\-\\-yes"), ("'quoted'", "\\(aqquoted\\(aq")],
)
def test_what_roff_would_read_otherwise_is_escaped(said: str, written: str) -> None:
    assert manual._line(said) == written


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed here")
def test_groff_has_nothing_to_warn_of(page: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
