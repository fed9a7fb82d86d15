"""A control plane is lost with its disk: a new machine and a backup bring the cluster back, with the workers that were left.

One of the last tests: it takes down the nodes that the others share.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubestead.lab.engine import Docker

from .cluster import Cluster
from .conftest import INVENTORY, fresh, lab
from .test_ha_life_etcd import back_up, objects, restore

AUTHORITY = "/etc/kubernetes/pki/ca.crt"


def known(cluster: Cluster) -> set[tuple[str, ...]]:
    """Every object but pods, which kubelets make anew."""
    return {found for found in objects(cluster) if found[0] != "Pod"}


@pytest.fixture
def built() -> Iterator[Cluster]:
    """A cluster on nodes of its own, of which one will not be the one that it was."""
    yield from fresh(INVENTORY)


@pytest.mark.full
def test_a_new_control_plane_takes_over_what_the_old_one_knew(built: Cluster, tmp_path: Path) -> None:
    first = built.control_planes[0]
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    built.host(first).check_output(f"{kubectl} create secret generic kept --from-literal=word=open-sesame")
    before, authority = known(built), built.host(first).file(AUTHORITY).sha256sum
    back_up(built, tmp_path).raise_for_failure()
    (snapshot,), (authorities,) = tmp_path.glob("etcd-*.db"), tmp_path.glob("etcd-*.pki.tar.gz")

    Docker()("rm", "--force", "--volumes", built.container(first))
    lab("up", "--no-cluster")
    assert not built.host(first).file(AUTHORITY).exists
    built.play("playbooks/etcd_restore_pki.yml", "-e", f"etcd_restore_pki={authorities}").raise_for_failure()
    built.play("site.yml", "--skip-tags", "network,add-ons,verify").raise_for_failure()
    restore(built, snapshot).raise_for_failure()
    built.play("site.yml").raise_for_failure()

    assert built.ready_nodes() == set(built.nodes)
    assert before - known(built) == set()
    assert built.host(first).file(AUTHORITY).sha256sum == authority
    word = built.host(first).check_output(f"{kubectl} get secret kept -o jsonpath={{.data.word}} | base64 --decode")
    assert word == "open-sesame", "encrypted with the old key, and read with it"
    assert built.play("site.yml").raise_for_failure().changed == {}
