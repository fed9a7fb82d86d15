"""Output that ends before the run: by a real terminal that goes away, and by a pipe that nobody reads any more."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from kubestead.runs.terminal import lasting

PLAYBOOK = """\
- name: prepare
  hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: here I am}
    - ansible.builtin.pause: {seconds: 2}
    - ansible.builtin.debug: {msg: "{{ range(20000) | list }}"}
    - ansible.builtin.copy: {content: x, dest: "{{ playbook_dir }}/done", mode: "0644"}
"""
CODE = (
    "import sys\nfrom pathlib import Path\nfrom kubestead.runs import run_playbook\n"
    "sys.exit(run_playbook('play.yml', Path('hosts.yml')).rc)\n"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(
        'all: {vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}, hosts: {one: }}\n'
    )
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    return tmp_path


def environment(place: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "KUBESTEAD_PLAIN")}
    return {**kept, "XDG_STATE_HOME": str(place / "state"), **more}


def read_until(descriptor: int, word: bytes) -> None:
    seen = b""
    while word not in seen:
        seen += os.read(descriptor, 4096)


def expect_whole_run(place: Path) -> None:
    assert (place / "done").exists(), "the run went on"
    (record,) = (place / "state" / "kubestead" / "runs").iterdir()
    about = json.loads((record / "run.json").read_text())
    assert (about["outcome"], about["hosts"]["one"]["changed"]) == ("succeeded", 1)
    assert '"playbook_on_stats"' in (record / "events.jsonl").read_text()
    assert not (record / "runner").exists()


@pytest.mark.parametrize("plain", ["", "1"])
def test_a_run_outlives_its_terminal(plain: str, place: Path) -> None:
    ours, its = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        cwd=place,
        env=environment(place, TERM="xterm", KUBESTEAD_PLAIN=plain),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(its)
    read_until(ours, b"here I am")
    os.close(ours)  # SIGHUP for the process, and EIO for what it writes
    assert process.wait(timeout=60) == 0
    expect_whole_run(place)


def test_a_run_outlives_a_closed_pipe(place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    read_until(process.stdout.fileno(), b"here I am")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b"", "nothing is said of it"
    expect_whole_run(place)


def test_what_an_encoding_lacks_is_replaced() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = lasting(Console(file=file))
    console.print("✓ prepare")
    file.seek(0)
    assert file.read() == "? prepare\n"


def test_a_console_is_made_lasting_once() -> None:
    console = lasting(Console(file=io.StringIO()))
    file = console.file
    assert lasting(console).file is file
