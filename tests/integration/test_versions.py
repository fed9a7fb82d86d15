"""Every Kubernetes of the catalogue makes a cluster that passes the smoke test. What is not in the cache yet is built first."""

from __future__ import annotations

import pytest
import yaml

from .cluster import ROOT, Cluster
from .conftest import INVENTORY, lab

CATALOGUE = yaml.safe_load((ROOT / "roles/cluster/vars/main/catalogue.yml").read_text())["__cluster_catalogue"]
OTHERS = sorted(set(CATALOGUE["releases"]) - {CATALOGUE["default"]})


@pytest.mark.full
@pytest.mark.parametrize("minor", OTHERS)
def test_a_cluster_of_each_release_works(minor: str) -> None:
    lab("down")
    try:
        lab("up", "--kubernetes", minor)
        nodes = Cluster(INVENTORY).kubectl("get", "nodes")["items"]
        assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {
            f"v{CATALOGUE['releases'][minor]['kubernetes']}"
        }
    finally:
        lab("down")
