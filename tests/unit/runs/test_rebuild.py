from __future__ import annotations

import yaml

from kubestead.runs.playbooks import collection_root
from kubestead.runs.progress import PHASES
from kubestead.runs.rebuild import CHECKED, reset_plays


def test_the_plays_of_a_rebuild_are_those_that_its_state_is_told_by() -> None:
    plays = yaml.safe_load((collection_root() / "playbooks/rebuild.yml").read_text(encoding="utf-8"))
    imported = [play.get("ansible.builtin.import_playbook") for play in plays]
    assert imported == ["validate.yml", None, "reset.yml", None, "site.yml"]
    assert plays[3]["name"] == CHECKED
    assert reset_plays()
    assert not {*reset_plays(), CHECKED} & set(PHASES)
