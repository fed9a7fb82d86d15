"""One control plane goes through all releases of the catalogue, one minor after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster
from .conftest import INVENTORY, lab
from .test_versions import CATALOGUE

MINORS = sorted(CATALOGUE["releases"])


@pytest.mark.full
def test_minor_after_minor() -> None:
    lab("down")
    try:
        lab("up", "--kubernetes", MINORS[0])
        cluster = Cluster(INVENTORY)
        kubestead = Path(sys.executable).with_name("kubestead")
        for minor in MINORS[1:]:
            subprocess.run([str(kubestead), "mirror", "build", "--kubernetes", minor], cwd=ROOT, check=True)
        skipped = upgrade(cluster, MINORS[-1])
        assert skipped[0] != 0
        assert "skips a minor release" in skipped[1]
        for minor in MINORS[1:]:
            code, output = upgrade(cluster, minor)
            assert code == 0, output[-6000:]
            nodes = cluster.kubectl("get", "nodes")["items"]
            wanted = f"v{CATALOGUE['releases'][minor]['kubernetes']}"
            assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {wanted}
    finally:
        lab("down")


def upgrade(cluster: Cluster, minor: str) -> tuple[int, str]:
    """Exit code and output of an upgrade."""
    run = cluster.play("playbooks/upgrade.yml", "-e", f"cluster_kubernetes_version={minor}")
    return run.code, run.output
