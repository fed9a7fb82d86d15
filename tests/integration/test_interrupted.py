"""The controller is killed at each phase, and once in the middle of it; the same command finishes the job."""

from __future__ import annotations

import pytest

from .cluster import TOKENS, Cluster

# A line of ansible-playbook's output, and the seconds from it to the kill.
MOMENTS = [
    ("PLAY [Preflight]", 1.0),
    ("PLAY [Prepare]", 0.0),
    ("Install the packages", 1.5),
    ("Pull images", 1.0),
    ("PLAY [Bootstrap]", 0.0),
    ("Make the first control plane", 2.0),
    ("Make the first control plane", 6.0),
    ("PLAY [Join]", 0.0),
    ("Join]", 1.5),
    ("PLAY [Network]", 0.5),
    ("PLAY [Verify]", 2.0),
]


@pytest.mark.usefixtures("clean_nodes")
def test_killed_at_each_phase_the_same_command_finishes(cluster: Cluster) -> None:
    missed = [mark for mark, after in MOMENTS if not cluster.play_and_kill("site.yml", mark, after)]
    assert missed == [], "these moments never came, so nothing was killed there"
    cluster.play("site.yml").raise_for_failure()
    assert cluster.ready_nodes() == set(cluster.nodes)
    assert cluster.play("site.yml").raise_for_failure().changed == {}
    secrets = cluster.kubectl("get", "secrets", "--namespace=kube-system", TOKENS)
    assert len(secrets["items"]) <= 1, "only a run killed after its join may leave a token, until that expires"
