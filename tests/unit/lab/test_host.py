from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kubestead.lab import host

Text = Callable[[str], str]
EMPTY = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


def test_all_of_dockers_rules_are_undone(recorded: Text) -> None:
    undo = host.rules_to_undo(EMPTY, recorded("iptables-docker.txt"))
    assert undo.count("COMMIT") == undo.count("*") == 2
    for line in (
        ":FORWARD ACCEPT [0:0]",
        "-F DOCKER-ISOLATION-STAGE-1",
        "-X DOCKER-ISOLATION-STAGE-1",
        "-D FORWARD -o br-948368a5f78e -j DOCKER",
        "-D POSTROUTING -s 172.29.96.0/24 ! -o br-948368a5f78e -j MASQUERADE",
        "-D OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    ):
        assert line in undo.splitlines()
    assert undo.index("-F DOCKER\n") < undo.index("-D FORWARD -j DOCKER-USER") < undo.index("-X DOCKER\n")


def test_rules_of_others_stay(recorded: Text) -> None:
    theirs = "-A FORWARD -i wg0 -j ACCEPT\n"
    after = recorded("iptables-docker.txt").replace("COMMIT\n", f"{theirs}COMMIT\n", 1)
    assert "wg0" not in host.rules_to_undo(EMPTY, after)


def test_rules_that_were_there_before_stay(recorded: Text) -> None:
    docker = recorded("iptables-docker.txt")
    assert host.rules_to_undo(docker, docker) == ""


def test_a_policy_that_was_drop_before_stays_drop(recorded: Text) -> None:
    before = EMPTY.replace(":FORWARD ACCEPT", ":FORWARD DROP")
    assert ":FORWARD" not in host.rules_to_undo(before, recorded("iptables-docker.txt"))


def test_settings_are_remembered_once_and_only_differences_come_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "setting_path", lambda name: tmp_path / name)
    monkeypatch.setattr(host, "SHARED_SETTINGS", ("kernel.panic", "vm.overcommit_memory", "not.here"))
    (tmp_path / "kernel.panic").write_text("0\n")
    (tmp_path / "vm.overcommit_memory").write_text("0\n")
    host.remember_settings()
    (tmp_path / "kernel.panic").write_text("10\n")
    host.remember_settings()
    assert host.settings_to_restore() == {"kernel.panic": "0"}
    host.write_settings(host.settings_to_restore())
    assert host.settings_to_restore() == {}
    host.forget_settings()
    assert not host.record_file().exists()
