"""What playbooks promise by the order and the conditions of their tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def tasks(path: str, play: str = "") -> list[dict[str, Any]]:
    """The tasks of a file of tasks, or of a play of a playbook."""
    loaded: list[dict[str, Any]] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return next(one["tasks"] for one in loaded if one["name"] == play) if play else loaded


def test_a_backup_comes_before_the_timer_and_does_without_machines_that_are_off() -> None:
    backup, timer, named = tasks("playbooks/etcd_backup.yml", "Back up")
    assert backup["ansible.builtin.include_role"]["tasks_from"] == "backup"
    assert timer["when"] == "etcd_backup_look is not unreachable"
    assert "etcd_backup_look" in named["vars"]["etcd_backup_unreached"]
    (look,) = [task for task in tasks("roles/etcd/tasks/backup.yml") if task.get("register") == "etcd_backup_look"]
    assert look["ignore_unreachable"] is True


def test_the_control_plane_that_a_backup_is_asked_of_is_judged_before_any_is_contacted() -> None:
    for task in tasks("roles/etcd/tasks/backup.yml"):
        if "etcd_backup_from" in str(task.get("ansible.builtin.assert")):
            break
        assert "ansible.builtin.assert" in task


@pytest.mark.parametrize(
    ("path", "variable"),
    [
        ("playbooks/add.yml", "add_look"),
        ("playbooks/etcd_defragment.yml", "etcd_found"),
        ("playbooks/etcd_status.yml", "etcd_found"),
        ("playbooks/remove.yml", "remove_look"),
        ("roles/etcd/vars/main.yml", "etcd_backup_look"),
    ],
)
def test_who_did_not_answer_is_told_with_the_reason(path: str, variable: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"kubestead.cluster.complaints(hostvars, '{variable}')" in text
    if path.startswith("playbooks"):
        assert f"register: {variable}\n" in text


def test_the_archive_with_the_authorities_is_looked_for_before_a_machine_is_contacted() -> None:
    for task in tasks("roles/etcd/tasks/pki.yml"):
        assert "ansible.builtin.assert" in task
        if "is ansible.builtin.file" in task["ansible.builtin.assert"]["that"]:
            break
