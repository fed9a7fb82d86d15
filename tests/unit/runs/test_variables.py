"""What is asked of an inventory before a run; Ansible reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestead.runs.playbooks import PlaybookError
from kubestead.runs.variables import check_limit

HOSTS = """\
all:
  children:
    control_plane:
      hosts: {cp-1: {}, "2001:db8::7": {}}
    workers:
      children:
        fast:
          hosts: {worker-1: {}, worker-2: {}}
"""


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prod") / "hosts.yml"
    path.write_text(HOSTS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "limit",
    [
        *("worker-1", "worker-1,fast", "workers:!worker-2", "all", "localhost,cp-1", "2001:db8::7"),
        *("wroker-*", "~wrok", "@hosts.retry", "workers[0]", "workers:&nosuch", "!nosuch", "cp-1:workers[0:1]"),
    ],
)
def test_a_limit_that_the_inventory_knows_or_only_ansible_understands(inventory: Path, limit: str) -> None:
    check_limit(inventory, limit)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("worker-9x", "no host or group 'worker-9x'"),
        (
            "worker-1,wroker-2",
            r"'wroker-2'\. Did you mean worker-2\? It has .*cp-1.*groups control_plane, fast, workers",
        ),
        ("cp-1:contol_plane", "Did you mean control_plane"),
    ],
)
def test_a_name_that_the_inventory_does_not_have_is_refused(inventory: Path, limit: str, said: str) -> None:
    with pytest.raises(PlaybookError, match=said):
        check_limit(inventory, limit)


def test_an_inventory_that_cannot_be_read_is_explained_by_the_run_itself(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: [", encoding="utf-8")
    check_limit(tmp_path / "hosts.yml", "one")
