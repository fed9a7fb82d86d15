"""A further worker joins a cluster that is at work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from .cluster import Cluster
from .conftest import INVENTORY, lab


@pytest.fixture
def grown(cluster: Cluster, tmp_path: Path) -> Cluster:
    """The same cluster with one more worker in its inventory, and a machine for it."""
    folder = tmp_path / "inventory"
    shutil.copytree(INVENTORY, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["children"]["workers"]["hosts"]["worker-3"] = {"ansible_host": "172.29.98.23"}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    lab("up", "--no-cluster", inventory=folder)
    return Cluster(folder)


def test_a_further_worker_touches_only_itself(cluster: Cluster, grown: Cluster) -> None:
    before = cluster.started(cluster.nodes)
    run = grown.play("site.yml").raise_for_failure()
    assert set(run.changed) == {"worker-3"}
    assert grown.ready_nodes() == set(grown.nodes)
    after = cluster.started(cluster.nodes)
    for node in cluster.nodes:
        assert set(before[node].splitlines()) <= set(after[node].splitlines()), f"something on {node} was started again"


def test_a_worker_leaves_by_reset_and_joins_again_by_limit(cluster: Cluster, grown: Cluster) -> None:
    grown.play("playbooks/reset.yml", "--limit", "worker-3", "-e", f"reset_confirm={cluster.name}").raise_for_failure()
    assert grown.ready_nodes() == set(cluster.nodes)
    run = grown.play("site.yml", "--limit", "worker-3").raise_for_failure()
    assert set(run.recap) == {"worker-3"}
    assert grown.ready_nodes() == set(grown.nodes)
