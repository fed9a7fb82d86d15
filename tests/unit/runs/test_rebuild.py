from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from kubestead.runs import run_playbook
from kubestead.runs.duration import duration
from kubestead.runs.playbooks import collection_root
from kubestead.runs.progress import PHASES
from kubestead.runs.rebuild import CHECKED, CONFORMANCE, reset_plays

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
GROUPS = {"control_plane": {"hosts": {"cp-1": {}}}, "workers": {"hosts": {"worker-1": {}, "worker-2": {}}}}


@pytest.fixture
def plays() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load(
        (collection_root() / "playbooks/rebuild.yml").read_text(encoding="utf-8")
    )
    return loaded


def test_the_plays_of_a_rebuild_are_those_that_its_state_is_told_by(plays: list[dict[str, Any]]) -> None:
    imported = [play.get("ansible.builtin.import_playbook") for play in plays]
    assert imported == ["validate.yml", None, "reset.yml", None, "site.yml", None]
    assert (plays[3]["name"], plays[5]["name"]) == (CHECKED, CONFORMANCE)
    assert reset_plays()
    assert not {*reset_plays(), CHECKED} & set(PHASES)


@pytest.mark.parametrize("lost", ["worker-2", "nobody"])
def test_no_cluster_is_begun_where_a_machine_could_not_be_reset(
    plays: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("CI", "true")
    fail = {"ansible.builtin.fail": {"msg": "It cannot be taken off."}, "when": f"inventory_hostname == '{lost}'"}
    say = {"ansible.builtin.debug": {"msg": "a new cluster"}, "changed_when": True}
    around = {"gather_facts": False, "hosts": "all"}
    book = [
        {"name": "Workers", **around, "tasks": [fail]},
        plays[3],
        {"name": "prepare", **around, "tasks": [say]},
    ]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": LOCAL, "children": GROUPS}}))
    (tmp_path / "play.yml").write_text(yaml.safe_dump(book, sort_keys=False))
    console = Console(file=io.StringIO(), width=200)
    result = run_playbook(str(tmp_path / "play.yml"), tmp_path / "hosts.yml", console=console)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    if lost == "nobody":
        assert result.ok
        assert result.changed == 3
    else:
        assert not result.ok
        assert result.changed == 0, "no new cluster"
        assert f"The old cluster could not be taken off {lost}, so no new one was begun." in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("1h 30min", 5400), ("1H5s", 3605)]
)
def test_lengths_of_time_as_people_write_them(text: str, seconds: int) -> None:
    assert duration(text) == seconds
