"""Whole clusters on the lab: one set of nodes for the session, taken down at its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster
from .residue import Snapshot, docker, take

INVENTORY = Path(__file__).parent / "inventory"
HA_INVENTORY = Path(__file__).parent / "inventory-ha"
TOGETHER_INVENTORY = Path(__file__).parent / "inventory-together"


def lab(*arguments: str, inventory: Path = INVENTORY) -> None:
    """Run `kubestead lab` on an inventory."""
    kubestead = Path(sys.executable).with_name("kubestead")
    subprocess.run([str(kubestead), "lab", *arguments, "-i", str(inventory)], cwd=ROOT, check=True)


def fresh(inventory: Path, *arguments: str) -> Iterator[Cluster]:
    """Nodes of an inventory for the time of a fixture: made anew by `kubestead lab up`, and taken down at the end."""
    lab("down", inventory=inventory)
    lab("up", *arguments, inventory=inventory)
    yield Cluster(inventory)
    lab("down", inventory=inventory)


def snapshots(cluster: Cluster) -> dict[str, Snapshot]:
    """What each node is like now."""
    return {node: take(docker(cluster.container(node))) for node in cluster.nodes}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Fresh nodes with a mirror beside them, and nothing installed."""
    yield from fresh(INVENTORY, "--no-cluster")


@pytest.fixture(scope="session")
def ha_cluster() -> Iterator[Cluster]:
    """Three control planes, two workers and two load balancers, built from nothing by one run."""
    yield from fresh(HA_INVENTORY)


@pytest.fixture(scope="session")
def together() -> Iterator[Cluster]:
    """Fresh nodes for three control planes that also balance and run pods. Two cores do not bear the other cluster beside them."""
    lab("down", inventory=HA_INVENTORY)
    yield from fresh(TOGETHER_INVENTORY, "--no-cluster")


@pytest.fixture(scope="session")
def pristine(cluster: Cluster) -> dict[str, Snapshot]:
    """What each node was like before anything was installed. Ask for it before the first test that changes a node."""
    return snapshots(cluster)


@pytest.fixture
def clean_nodes(cluster: Cluster) -> None:
    """The nodes without a cluster, whatever the tests before left on them."""
    cluster.play("playbooks/reset.yml", "-e", f"reset_confirm={cluster.name}").raise_for_failure()
