"""A further worker joins a cluster that is at work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .cluster import Cluster
from .conftest import INVENTORY, lab


@pytest.fixture
def grown(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """The same cluster with one more worker in its inventory, and a machine for it. The worker leaves at the end."""
    folder = tmp_path / "inventory"
    shutil.copytree(INVENTORY, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["children"]["workers"]["hosts"]["worker-3"] = {"ansible_host": "172.29.98.23"}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    lab("up", "--no-cluster", inventory=folder)
    grown = Cluster(folder)
    yield grown
    grown.play("playbooks/reset.yml", "--limit", "worker-3", "-e", f"reset_confirm={grown.name}").raise_for_failure()


def test_a_further_worker_touches_only_itself(cluster: Cluster, grown: Cluster) -> None:
    before = cluster.started(cluster.nodes)
    run = grown.play("site.yml").raise_for_failure()
    # What the new kubelet asks for is approved once; Ansible counts that for whichever host comes first to the task.
    approved = [count for host, count in run.changed.items() if host != "worker-3"]
    assert approved == [1], run.changed
    assert grown.ready_nodes() == set(grown.nodes)
    after = cluster.started(cluster.nodes)
    for node in cluster.nodes:
        assert set(before[node].splitlines()) <= set(after[node].splitlines()), f"something on {node} was started again"


def test_a_reset_worker_is_gone_from_the_cluster(cluster: Cluster) -> None:
    names = {node["metadata"]["name"] for node in cluster.kubectl("get", "nodes")["items"]}
    assert names == set(cluster.nodes)


def test_a_worker_joins_by_limit_alone(grown: Cluster) -> None:
    run = grown.play("site.yml", "--limit", "worker-3").raise_for_failure()
    assert set(run.recap) == {"worker-3"}
    # Nothing of this run waits for the network's pod on the new node: the control planes are not part of it.
    grown.wait_for(lambda: grown.ready_nodes() == set(grown.nodes))
