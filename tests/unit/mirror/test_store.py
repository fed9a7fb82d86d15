from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubestead.mirror.errors import MirrorError
from kubestead.mirror.store import Store, lock, require_space


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _make(store: Store, key: str = "thing-1") -> Path:
    with store.new(key) as folder:
        (folder / "deep").mkdir()
        (folder / "deep/file").write_text("content")
    return store.path(key) / "deep/file"


def test_a_finished_artefact_is_sound(store: Store) -> None:
    _make(store)
    assert store.artefacts() == ["thing-1"]
    assert store.damage("thing-1", thorough=True) is None


def test_what_was_never_made_is_not_there(store: Store) -> None:
    assert store.damage("thing-1") == "its list of checksums is missing"


def test_a_truncated_file_is_noticed(store: Store) -> None:
    file = _make(store)
    os.truncate(file, 3)
    assert store.damage("thing-1") == "deep/file has 3 bytes instead of 7"


def test_a_missing_file_is_noticed(store: Store) -> None:
    _make(store).unlink()
    assert store.damage("thing-1") == "deep/file is missing"


def test_changed_content_of_the_same_length_is_noticed(store: Store) -> None:
    file = _make(store)
    before = file.stat()
    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.damage("thing-1", thorough=True) == "deep/file does not match its checksum"


def test_another_time_alone_is_no_damage(store: Store) -> None:
    os.utime(_make(store), (1, 1))
    assert store.damage("thing-1") is None


def test_an_unreadable_list_is_noticed(store: Store) -> None:
    _make(store)
    (store.path("thing-1") / "checksums.json").write_text("{")
    assert store.damage("thing-1") == "its list of checksums cannot be read"


def _fail(store: Store) -> None:
    with store.new("thing-1") as folder:
        (folder / "half").write_text("x")
        raise ValueError("no")


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="no"):
        _fail(store)
    assert store.artefacts() == []
    assert not list((store.root.parent / "unfinished").iterdir())


def test_a_killed_build_leaves_nothing_that_is_believed(store: Store, tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from kubestead.mirror.store import Store\n"
        "with Store(Path(sys.argv[1])).new('thing-1') as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root)], check=False)
    assert store.artefacts() == []
    assert store.damage("thing-1") is not None
    store.sweep()
    assert not (tmp_path / "unfinished").exists()


def test_a_new_artefact_replaces_a_damaged_one(store: Store) -> None:
    os.truncate(_make(store), 0)
    _make(store)
    assert store.damage("thing-1", thorough=True) is None


def test_the_second_at_the_lock_waits_and_is_told_who_has_it(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from kubestead.mirror.store import lock\n"
        "with lock(Path(sys.argv[1]), print):\n"
        "    print('mine', flush=True)\n"
    )
    place = tmp_path / "lock"
    with lock(place, pytest.fail):
        other = subprocess.Popen([sys.executable, "-u", "-c", script, str(place)], stdout=subprocess.PIPE, text=True)
        assert other.stdout
        assert f"Process {os.getpid()} is changing the mirror" in other.stdout.readline()
    assert other.stdout.readline() == "mine\n"
    assert other.wait() == 0


def test_too_little_room_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"about 1000000\.0 GB are needed, .* are free\. Nothing was changed"):
        require_space({tmp_path / "not/yet/there": 10**15})


def test_needs_on_one_file_system_add_up(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"about 2000000\.0 GB"):
        require_space({tmp_path / "a": 10**15, tmp_path / "b": 10**15})


def test_enough_room_is_no_news(tmp_path: Path) -> None:
    require_space({tmp_path: 1})
