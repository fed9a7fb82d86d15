"""The lock, the mark, and the place for secrets."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import (
    Marker,
    is_locked,
    node_lock,
    secret_directory,
    write_secret,
)


def test_the_lock_keeps_others_out_while_it_is_held(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not is_locked(path)
    with node_lock(1, path):
        assert is_locked(path)
        with pytest.raises(KubesteadError, match="Another run still works on this node"), node_lock(0, path):
            pytest.fail("two held the lock")
    assert not is_locked(path)


def test_who_waits_for_a_lock_that_its_holder_takes_along_gets_one_that_others_see(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    seen = []

    def wait() -> None:
        with node_lock(5, str(path)):
            seen.append(is_locked(str(path)))

    waiting = threading.Thread(target=wait)
    with node_lock(1, str(path)):
        waiting.start()
        time.sleep(0.3)
        path.unlink()
    waiting.join()
    assert seen == [True]


def test_a_child_that_outlives_us_keeps_the_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with node_lock(1, path) as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    try:
        assert is_locked(path)
    finally:
        child.communicate(b"\n")
    assert not is_locked(path)


def test_secrets_lie_where_only_root_comes_and_are_gone_afterwards(tmp_path: Path) -> None:
    parent = tmp_path / "secrets"
    with secret_directory(str(parent)) as directory:
        path = write_secret(directory, "config.yaml", "token")
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700
        assert stat.S_IMODE(parent.stat().st_mode) == 0o700
        assert Path(path).read_text(encoding="utf-8") == "token"
    assert not parent.exists()


def test_secrets_are_gone_after_a_failure_and_after_being_told_to_stop(tmp_path: Path) -> None:
    parent = tmp_path / "secrets"
    with pytest.raises(ValueError, match="broken"), secret_directory(str(parent)):
        raise ValueError("broken")
    assert not parent.exists()
    with pytest.raises(SystemExit), secret_directory(str(parent)):
        os.kill(os.getpid(), signal.SIGTERM)
    assert not parent.exists()


def test_what_a_killed_predecessor_left_is_removed_first(tmp_path: Path) -> None:
    parent = tmp_path / "secrets"
    parent.mkdir()
    (parent / "old").write_text("token", encoding="utf-8")
    with secret_directory(str(parent)):
        assert not (parent / "old").exists()


def test_the_mark_is_read_back_and_leaves_nothing(tmp_path: Path) -> None:
    marker = Marker(str(tmp_path / "state" / "in-progress.json"))
    assert marker.read() is None
    marker.write("join")
    assert marker.read() == "join"
    marker.write("init")
    assert marker.read() == "init"
    marker.remove()
    marker.remove()
    assert marker.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", '{"operation": "jo', "[]", '{"operation": "dance"}'])
def test_a_damaged_mark_still_says_that_something_was_begun(tmp_path: Path, content: str) -> None:
    path = tmp_path / "in-progress.json"
    path.write_text(content, encoding="utf-8")
    assert Marker(str(path)).read() == "init"
