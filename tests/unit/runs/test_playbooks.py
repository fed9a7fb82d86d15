from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from kubestead.runs import playbooks
from kubestead.runs.playbooks import PlaybookError
from kubestead.runs.progress import PHASES


def test_a_playbook_is_called_by_its_full_name() -> None:
    assert playbooks.resolve("site") == "kubestead.cluster.site"
    assert playbooks.resolve("kubestead.cluster.site") == "kubestead.cluster.site"


def test_an_unknown_playbook_is_an_error_that_names_the_known() -> None:
    with pytest.raises(PlaybookError, match=r"no playbook 'siet'; did you mean site\? It has .*site"):
        playbooks.resolve("siet")


def test_the_nearest_playbook_is_suggested() -> None:
    with pytest.raises(
        PlaybookError, match=r"no playbook 'rotate-encryption-key'; did you mean rotate_encryption_key\?"
    ):
        playbooks.resolve("rotate-encryption-key")


def test_a_tag_that_nothing_carries_is_refused(tmp_path: Path) -> None:
    playbooks.check_tags("kubestead.cluster.site", ["balance,join", "always"])
    with pytest.raises(PlaybookError, match=r"no tag 'bootstrp'; did you mean bootstrap\? The phases are validate, "):
        playbooks.check_tags("kubestead.cluster.site", ["join", "verify, bootstrp"])
    with pytest.raises(PlaybookError, match=r"no tag 'nonsense'\. The phases are validate"):
        playbooks.check_tags("kubestead.cluster.rebuild", ["nonsense"])
    with pytest.raises(PlaybookError, match=r"reset has no tags"):
        playbooks.check_tags("kubestead.cluster.reset", ["prepare"])
    playbooks.check_tags(str(tmp_path / "mine.yml"), ["whatever"])


def test_every_tag_of_a_task_stands_at_a_play_too() -> None:
    """Only those of plays are known to check_tags."""
    root = playbooks.collection_root()
    files = [*(root / "roles").glob("*/tasks/*.yml"), *(root / "playbooks/tasks").glob("*.yml")]
    assert [path for path in files if "tags:" in path.read_text(encoding="utf-8")] == []


def test_a_users_own_playbook_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert playbooks.resolve("mine.yml") == str(tmp_path / "mine.yml")
    with pytest.raises(PlaybookError, match="there is no playbook"):
        playbooks.resolve("other.yml")


def test_beginning_at_a_phase_leaves_out_those_before() -> None:
    assert playbooks.phases_before("validate") == []
    assert playbooks.phases_before("join") == ["validate", "preflight", "prepare", "balance", "bootstrap"]
    with pytest.raises(PlaybookError, match="the phases are validate, preflight"):
        playbooks.phases_before("jion")


def test_every_play_of_site_is_a_phase_with_its_tag_in_order() -> None:
    plays = yaml.safe_load((playbooks.collection_root() / "playbooks" / "site.yml").read_text(encoding="utf-8"))
    phases = []
    for play in plays:
        (tag,) = [play["tags"]] if isinstance(play["tags"], str) else play["tags"]
        if "hosts" in play:
            assert play["name"].lower() == tag
        phases.append(tag)
    assert set(phases) <= set(PHASES)
    assert phases == sorted(phases, key=PHASES.index)


def test_the_line_for_ansible_is_one_that_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(here))
    assert playbooks.command_line("kubestead.cluster.site", ["-i", "a b"]) == (
        "ansible-playbook kubestead.cluster.site -i 'a b'"
    )
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(here.parent)
    assert playbooks.command_line("x.yml", []) == f"{here.name}/ansible-playbook x.yml"
    monkeypatch.chdir(tmp_path)
    assert playbooks.command_line("x.yml", []) == f"{here}/ansible-playbook x.yml"


def test_ansibles_programs_are_found_where_pip_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert playbooks.executables() == Path(sys.executable).parent
    # As in an execution environment, whose Python is the system's: pip writes to /usr/local/bin.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "usr/bin/python3"))
    scripts = tmp_path / "usr/local/bin"
    scripts.mkdir(parents=True)
    (scripts / "ansible-playbook").touch(mode=0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(scripts))
    assert playbooks.executables() == scripts
    monkeypatch.setattr("sysconfig.get_path", lambda _name: "/nowhere")
    monkeypatch.setenv("PATH", str(scripts))
    assert playbooks.executables() == scripts


def test_what_a_playbook_asks_for_is_known_before_it_runs(tmp_path: Path) -> None:
    playbook = tmp_path / "ask.yml"
    playbook.write_text("- hosts: all\n  vars_prompt:\n    - {name: really, prompt: Really go on}\n", encoding="utf-8")
    assert playbooks.questions(str(playbook)) == {"really": "Really go on"}
    assert set(playbooks.questions("reset")) == {"reset_confirm"}
    assert playbooks.questions("site") == {}
    assert set(playbooks.questions("rebuild")) == {"reset_confirm"}, "what an imported playbook asks"


def test_a_playbook_of_ones_own_asks_what_those_ask_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(
        "- import_playbook: kubestead.cluster.reset\n- ansible.builtin.import_playbook: more/ask.yml\n"
        "- import_playbook: '{{ later }}'\n- import_playbook: missing.yml\n",
        encoding="utf-8",
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more/ask.yml").write_text("- hosts: all\n  vars_prompt:\n    - name: really\n", encoding="utf-8")
    assert set(playbooks.questions(str(tmp_path / "own.yml"))) == {"reset_confirm", "really"}


def test_the_phases_of_imported_playbooks_are_planned() -> None:
    assert playbooks.planned("kubestead.cluster.rebuild") == playbooks.planned("kubestead.cluster.site")
    assert "preflight" not in playbooks.planned("kubestead.cluster.rebuild", ["--skip-tags", "validate,preflight"])
