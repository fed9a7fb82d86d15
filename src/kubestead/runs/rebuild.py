"""What a rebuild has come to: whether the old cluster is still there, and the new one is."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from kubestead.runs.playbooks import collection_root
from kubestead.runs.progress import PhaseTime

CONFORMANCE = "Conformance"  # the play of conformance.yml and of rebuild.yml that runs upstream's suite
CHECKED = "Reset done"  # the play of rebuild.yml that makes sure that the old cluster is off every machine


def reset_plays() -> list[str]:
    """The plays of a reset that change machines, which are phases of a rebuild."""
    plays = yaml.safe_load((collection_root() / "playbooks" / "reset.yml").read_text(encoding="utf-8"))
    return [play["name"] for play in plays if "vars_prompt" not in play]


def standing(phases: Sequence[PhaseTime], *, ok: bool) -> str:
    """In what state the cluster is, in a sentence or two, by the phases that a rebuild went through."""
    if ok:
        return "The new cluster is built and tested."
    names = [phase.name for phase in phases]
    plays = reset_plays()
    if not set(names) & set(plays):
        return "The old cluster was not touched."
    if names[-1] in (*plays, CHECKED):
        return (
            "The old cluster is taken off in part. The same command again takes the rest off, and builds the new one."
        )
    if names[-1] == CONFORMANCE and "verify" in names:
        return "The old cluster is gone. The new one is built and passed its smoke test, but not its conformance tests."
    if names[-1] == "verify":
        return "The old cluster is gone. The new one is built, and its test did not come to a good end."
    return (
        f"The old cluster is gone, and the new one is not complete: phase {names[-1]} was the last. "
        "`kubestead apply` goes on with it; the same command again begins from the start."
    )
