"""Built and taken apart again and again on the same machines, which are in the end what they were, each time."""

from __future__ import annotations

import pytest

from .cluster import Cluster
from .residue import Snapshot, difference, docker, report, take

ROUNDS = 10


@pytest.fixture(scope="module")
def after_the_first() -> dict[str, Snapshot]:
    """What each node was like after the first round: what a reset leaves on purpose must not become more."""
    return {}


@pytest.mark.full
@pytest.mark.parametrize("number", range(1, ROUNDS + 1), ids=lambda number: f"round-{number:02}")
def test_a_round_leaves_nothing_behind(
    cluster: Cluster, pristine: dict[str, Snapshot], after_the_first: dict[str, Snapshot], number: int
) -> None:
    cluster.play("site.yml", "-e", "cluster_smoke_test=false").raise_for_failure()
    assert cluster.ready_nodes() == set(cluster.nodes)
    cluster.play("playbooks/reset.yml", "-e", f"reset_confirm={cluster.name}").raise_for_failure()
    for node in cluster.nodes:
        now = take(docker(cluster.container(node)))
        found = difference(pristine[node], now)
        assert not found, f"round {number}: {node} differs from what it was:\n{report(found)}"
        more = difference(after_the_first.setdefault(node, now), now, allowed={})
        assert not more, f"round {number}: {node} differs from what the first round left:\n{report(more)}"
