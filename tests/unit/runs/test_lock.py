from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from kubestead.runs import run_playbook
from kubestead.runs.lock import LockedError, claim, lock_file


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "prod"
    folder.mkdir()
    (folder / "hosts.yml").write_text("all:\n  hosts:\n    one:\n      ansible_connection: local\n", encoding="utf-8")
    return folder


def test_a_second_run_is_told_who_holds_the_lock(inventory: Path) -> None:
    with claim(inventory, "ansible-playbook site"):
        with pytest.raises(LockedError) as refused:
            claim(inventory, "ansible-playbook reset")
        assert f"process {os.getpid()}, since 20" in str(refused.value)
        assert "ansible-playbook site" in str(refused.value)
        assert "Nothing was done." in str(refused.value)
    claim(inventory, "again").close()


def test_an_inventory_is_the_same_by_whatever_name(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(inventory)
    monkeypatch.chdir(tmp_path)
    names = {lock_file(path) for path in (inventory, inventory / "hosts.yml", Path("prod"), Path("link"))}
    assert len(names) == 1
    assert lock_file(tmp_path / "other") not in names


def test_the_lock_is_its_owners_alone(inventory: Path) -> None:
    with claim(inventory, "ansible-playbook site"):
        assert lock_file(inventory).stat().st_mode & 0o777 == 0o600


def test_a_killed_holder_leaves_no_lock(inventory: Path) -> None:
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom kubestead.runs.lock import claim\n"
        "held = claim(Path(sys.argv[1]), 'ansible-playbook site')\nprint('held', flush=True)\nsignal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(inventory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=f"process {process.pid},"):
        claim(inventory, "another")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    claim(inventory, "another").close()


def test_what_the_file_holds_may_be_nonsense(inventory: Path) -> None:
    with claim(inventory, "ansible-playbook site"):
        lock_file(inventory).write_text("nonsense", encoding="utf-8")
        with pytest.raises(LockedError, match="a run that has just begun"):
            claim(inventory, "another")


def test_only_what_changes_something_takes_the_lock(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    playbook = tmp_path / "play.yml"
    playbook.write_text("- name: prepare\n  hosts: all\n  gather_facts: false\n  tasks: []\n", encoding="utf-8")
    console = Console(file=io.StringIO())
    with claim(inventory, "ansible-playbook site"):
        with pytest.raises(LockedError):
            run_playbook(str(playbook), inventory, console=console)
        assert not (tmp_path / "state/kubestead/runs").exists(), "a refused run leaves no record"
        assert run_playbook(str(playbook), inventory, check=True, console=console).ok
    assert run_playbook(str(playbook), inventory, console=console).ok
