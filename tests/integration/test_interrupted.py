"""The controller is killed at each phase, and once in the middle of it; the same command finishes the job."""

from __future__ import annotations

import pytest

from .cluster import TOKENS, Cluster

# A line of ansible-playbook's output, the seconds from it to the kill, and whether kubeadm on the nodes dies too, as in a power cut.
MOMENTS = [
    ("PLAY [Preflight]", 1.0, False),
    ("PLAY [Prepare]", 0.0, False),
    ("Install the packages", 1.5, False),
    ("Pull images", 1.0, False),
    ("PLAY [Bootstrap]", 0.0, False),
    ("Make the first control plane", 2.5, True),
    ("Make the first control plane", 2.0, False),
    ("PLAY [Join]", 0.0, False),
    (" : Join]", 0.3, True),
    ("PLAY [Network]", 0.5, False),
    ("PLAY [Verify]", 2.0, False),
]


@pytest.mark.usefixtures("clean_nodes")
def test_killed_at_each_phase_the_same_command_finishes(cluster: Cluster) -> None:
    missed = [moment for moment in MOMENTS if not cluster.play_and_kill("site.yml", *moment)]
    assert missed == [], "these moments never came, so nothing was killed there"
    cluster.play("site.yml").raise_for_failure()
    assert cluster.ready_nodes() == set(cluster.nodes)
    assert cluster.play("site.yml").raise_for_failure().changed == {}
    secrets = cluster.kubectl("get", "secrets", "--namespace=kube-system", TOKENS)
    assert len(secrets["items"]) <= 1, "only a run killed after its join may leave a token, until that expires"
