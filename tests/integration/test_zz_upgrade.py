"""One control plane with its workers goes from minor to minor; test_ha_zz_upgrade has the highly available cluster.

The last of the tests: it takes down the nodes that the others share.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster, Run
from .conftest import INVENTORY, lab
from .test_versions import CATALOGUE

MINORS = sorted(CATALOGUE["releases"])


def test_the_next_minor() -> None:
    climb(MINORS[-2:])


@pytest.mark.full
def test_minor_after_minor() -> None:
    climb(MINORS)


def climb(minors: Sequence[str]) -> None:
    """Build a cluster of the first of these minors, and bring it to each of the others."""
    lab("down")
    try:
        lab("up", "--kubernetes", minors[0])
        cluster = Cluster(INVENTORY)
        kubestead = Path(sys.executable).with_name("kubestead")
        for minor in minors[1:]:
            subprocess.run([str(kubestead), "mirror", "build", "--kubernetes", minor], cwd=ROOT, check=True)
        for skipped in minors[2:]:
            refused = upgrade(cluster, skipped)
            assert refused.code != 0
            assert "skips a minor release" in refused.output
        for minor in minors[1:]:
            upgrade(cluster, minor).raise_for_failure()
            nodes = cluster.kubectl("get", "nodes")["items"]
            wanted = f"v{CATALOGUE['releases'][minor]['kubernetes']}"
            assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {wanted}
            assert [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")] == []
    finally:
        lab("down")


def upgrade(cluster: Cluster, minor: str) -> Run:
    """An upgrade that has ended."""
    return cluster.play("playbooks/upgrade.yml", "-e", f"cluster_kubernetes_version={minor}")
