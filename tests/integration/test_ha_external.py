"""Three control planes and a worker behind a load balancer that is not Kubestead's to manage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .cluster import Cluster
from .conftest import HA_INVENTORY, lab


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Cluster]:
    """Fresh nodes whose inventory knows an address, and nothing of the two machines that serve it."""
    lab("down", inventory=HA_INVENTORY)
    lab("up", "--no-cluster", inventory=HA_INVENTORY)
    ours = Cluster(HA_INVENTORY)
    ours.play("site.yml", "--tags", "balance", "--limit", "load_balancers").raise_for_failure()
    folder = tmp_path / "inventory"
    shutil.copytree(HA_INVENTORY, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    groups = hosts["all"]["children"]
    del groups["load_balancers"], groups["workers"]["hosts"]["worker-2"]
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    cluster_file = folder / "group_vars/all/cluster.yml"
    cluster_file.write_text(cluster_file.read_text().replace("cluster_virtual_ip: ", "cluster_endpoint: "))
    yield Cluster(folder)
    lab("down", inventory=HA_INVENTORY)


@pytest.mark.full
def test_another_ones_load_balancer_is_enough(behind: Cluster) -> None:
    behind.play("site.yml").raise_for_failure()
    assert behind.ready_nodes() == set(behind.nodes)
    configuration = behind.kubectl("get", "configmap", "kubeadm-config", "-n", "kube-system")
    endpoint = yaml.safe_load(configuration["data"]["ClusterConfiguration"])["controlPlaneEndpoint"]
    assert endpoint == f"{Cluster(HA_INVENTORY).virtual_ip}:6443"
    assert behind.play("site.yml").raise_for_failure().changed == {}
