from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kubestead.mirror import process
from kubestead.mirror.errors import MirrorError


def _shell(script: str, log: Path | None = None) -> str:
    return process.run(["sh", "-c", script], log=log)


def test_output_comes_back_and_all_of_it_is_kept(tmp_path: Path) -> None:
    assert _shell("echo said; echo more >&2", tmp_path / "deep/log") == "said\n"
    assert (tmp_path / "deep/log").read_text().endswith("said\nmore\n")


def test_a_failure_shows_the_last_lines_and_where_the_rest_is(tmp_path: Path) -> None:
    with pytest.raises(MirrorError) as raised:
        _shell("for i in $(seq 40); do echo line $i; done; exit 3", tmp_path / "log")
    message = str(raised.value)
    assert "failed with exit code 3" in message
    assert "line 40" in message
    assert "line 25\n" not in message
    assert str(tmp_path / "log") in message


def test_an_end_by_a_signal_is_named() -> None:
    with pytest.raises(MirrorError, match="was ended by SIGKILL, perhaps because memory ran out"):
        _shell("kill -KILL $$")


@pytest.mark.parametrize(
    "text", ["write /x: no space left on device", "E: You don't have enough free space in /x/archives/."]
)
def test_a_full_disk_is_one_sentence(text: str) -> None:
    with pytest.raises(
        MirrorError, match=r"^The disk is full: sh found no room to write\. Nothing finished was lost\."
    ):
        process.run(["sh", "-c", 'echo "$0" >&2; exit 1', text])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MirrorError, match="The program no-such-program is missing"):
        process.run(["no-such-program"])


def test_what_runs_can_be_stopped(tmp_path: Path) -> None:
    failures: list[MirrorError] = []

    def wait() -> None:
        try:
            _shell(f"touch {tmp_path}/begun; sleep 60")
        except MirrorError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not (tmp_path / "begun").exists():
        pass
    process.stop_all()
    thread.join(30)
    assert not thread.is_alive()
    assert "was ended by SIGTERM" in str(failures[0])
