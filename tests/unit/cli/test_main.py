from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from kubestead.cli import cluster, running
from kubestead.cli.main import app

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("kubestead")


COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_help_lists_every_command(cli: CliRunner) -> None:
    output = cli.invoke(app, ["--help"]).output
    assert {"apply", "init", "kubeconfig", "lab", "mirror", "plan", "reset", "run", "schema", "validate"} <= set(
        COMMANDS
    )
    for command in COMMANDS:
        assert f"\n  {command} " in output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documentation_tells_of_every_command_and_shared_option(cli: CliRunner, command: str) -> None:
    text = (ROOT / "docs/command.md").read_text(encoding="utf-8")
    assert f"| `kubestead {command}` |" in text
    if "[-- OPTIONS OF ansible-playbook]" in (shown := cli.invoke(app, [command, "--help"]).output):
        section = text.partition(f"## {command}\n")[2].partition("\n## ")[0]
        shared = text.partition("## Options that verbs share")[2].partition("\n## ")[0]
        options = set(re.findall(r"--[a-z-]{3,}", shown)) - {"--help"}
        assert [option for option in options if f"`{option}" not in section + shared] == []


def test_the_documentation_tells_of_every_exit_code() -> None:
    section = (ROOT / "docs/command.md").read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert codes == {0, running.FAILED, running.USAGE, running.LOCKED, running.TIMED_OUT, running.STOPPED}
    assert cluster.WOULD_CHANGE in codes


def test_version_is_the_collections(cli: CliRunner) -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert cli.invoke(app, ["version"]).output == f"{galaxy['version']}\n"


def test_an_unknown_playbook_is_an_error_of_usage(cli: CliRunner) -> None:
    result = cli.invoke(app, ["run", "nonsense", "--inventory", str(ROOT / "inventories/lab")])
    assert result.exit_code == 2
    assert "no playbook 'nonsense'" in result.output


def test_run_takes_the_inventory_from_where_the_verbs_do(
    cli: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBESTEAD_INVENTORY", raising=False)
    result = cli.invoke(app, ["run", "site"])
    assert result.exit_code == 2
    assert "there is no inventory to work on" in result.output
    monkeypatch.setenv("KUBESTEAD_INVENTORY", str(ROOT / "inventories/lab"))
    assert "did you mean site?" in cli.invoke(app, ["run", "siet"]).output


def test_an_inventory_that_is_not_there_is_an_error_of_usage(cli: CliRunner) -> None:
    result = cli.invoke(app, ["run", "site", "--inventory", "nowhere"])
    assert result.exit_code == 2
    assert "nowhere" in result.output


SLOW = (
    "ansible",
    "ansible_runner",
    "cryptography",
    "jinja2",
    "pydantic",
    "yaml",
    "concurrent",
    "kubestead.lab",
    "kubestead.runs",
)


def test_what_only_some_verbs_need_is_not_loaded_at_the_start() -> None:
    code = "import sys, kubestead.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in loaded for slow in SLOW if name == slow or name.startswith(f"{slow}.")] == []


COMPLETIONS = {
    "bash": {"COMP_WORDS": "kubestead ", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "kubestead "},
    "fish": {"_TYPER_COMPLETE_ARGS": "kubestead ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("what", ["help", *COMPLETIONS])
def test_help_and_completion_are_there_at_once(what: str) -> None:
    words = ["--help"] if what == "help" else []
    asked = {**COMPLETIONS[what], "_KUBESTEAD_COMPLETE": f"complete_{what}"} if what in COMPLETIONS else {}
    times = []
    for _attempt in range(5):
        before = os.times()
        done = subprocess.run(
            [PROGRAM, *words], check=True, capture_output=True, text=True, env={**os.environ, **asked}
        )
        after = os.times()
        assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", done.stdout)] == []
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) <= 0.3, "seconds of processor, which a busy machine does not spoil"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_into_80_columns(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = [command] if command else []
    output = CliRunner().invoke(app, [*words, "--help"]).output
    assert [line for line in output.splitlines() if len(line) > 80] == []


def test_no_color_is_respected(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FORCE_COLOR": "1", "NO_COLOR": "1", "CI": "1"}
    (tmp_path / "hosts.yml").touch()
    done = subprocess.run(
        [PROGRAM, "validate"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", done.stdout + done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_taught_to_complete(shell: str) -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [PROGRAM, "--show-completion", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert f"_KUBESTEAD_COMPLETE=complete_{shell}" in done.stdout


def test_bash_completes_with_what_is_installed() -> None:
    environment = {
        **os.environ,
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
    }
    code = """
source <(kubestead --show-completion bash)
COMP_WORDS=(kubestead re) COMP_CWORD=1
$(complete -p kubestead | sed 's/.*-F \\([^ ]*\\) .*/\\1/') kubestead
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert {"rebuild", "report", "reset"} <= set(done.stdout.split())
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"), [("kubestead ap", "apply"), ("kubestead apply --start-at ve", "verify")]
)
def test_verbs_and_phases_are_completed(words: str, expected: str) -> None:
    count = str(len(words.split()) - 1)
    environment = {**os.environ, "_KUBESTEAD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [expected]
