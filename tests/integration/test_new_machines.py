"""A control plane is lost with its disk: a new machine and a backup bring the cluster back, with the workers that were left."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestead.lab.engine import Docker

from .cluster import Cluster
from .conftest import lab
from .test_ha_life_etcd import back_up, objects, restore

AUTHORITY = "/etc/kubernetes/pki/ca.crt"


def known(cluster: Cluster) -> set[tuple[str, ...]]:
    """Every object but pods, which kubelets make anew."""
    return {found for found in objects(cluster) if found[0] != "Pod"}


@pytest.mark.full
def test_a_new_control_plane_takes_over_what_the_old_one_knew(cluster: Cluster, tmp_path: Path) -> None:
    cluster.play("site.yml").raise_for_failure()
    first = cluster.control_planes[0]
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    cluster.host(first).check_output(f"{kubectl} create secret generic kept --from-literal=word=open-sesame")
    before, authority = known(cluster), cluster.host(first).file(AUTHORITY).sha256sum
    back_up(cluster, tmp_path).raise_for_failure()
    (snapshot,), (authorities,) = tmp_path.glob("etcd-*.db"), tmp_path.glob("etcd-*.pki.tar.gz")

    Docker()("rm", "--force", "--volumes", cluster.container(first))
    lab("up", "--no-cluster")
    assert not cluster.host(first).file(AUTHORITY).exists
    cluster.play("playbooks/etcd_restore_pki.yml", "-e", f"etcd_restore_pki={authorities}").raise_for_failure()
    cluster.play("site.yml", "--skip-tags", "network,add-ons,verify").raise_for_failure()
    restore(cluster, snapshot).raise_for_failure()
    cluster.play("site.yml").raise_for_failure()

    assert cluster.ready_nodes() == set(cluster.nodes)
    assert before - known(cluster) == set()
    assert cluster.host(first).file(AUTHORITY).sha256sum == authority
    word = cluster.host(first).check_output(f"{kubectl} get secret kept -o jsonpath={{.data.word}} | base64 --decode")
    assert word == "open-sesame", "encrypted with the old key, and read with it"
    assert cluster.play("site.yml").raise_for_failure().changed == {}
