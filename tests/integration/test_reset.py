"""Reset takes everything off the machines that site.yml put there, and nothing else."""

from __future__ import annotations

from .cluster import Cluster
from .residue import Snapshot, difference, docker, report, take


def test_reset_wants_the_clusters_name(cluster: Cluster) -> None:
    run = cluster.play("playbooks/reset.yml", "-e", "reset_confirm=another")
    assert run.code != 0
    assert cluster.name in run.output
    assert run.changed == {}
    assert cluster.ready_nodes() >= set(cluster.nodes)


def test_a_prepared_machine_takes_the_next_cluster(cluster: Cluster) -> None:
    """Without the packages, only the cluster goes."""
    confirmed = f"reset_confirm={cluster.name}"
    cluster.play("playbooks/reset.yml", "-e", confirmed, "-e", "reset_packages=false").raise_for_failure()
    for node in cluster.nodes:
        assert cluster.host(node).package("kubeadm").is_installed
        assert not cluster.host(node).file("/etc/kubernetes/kubelet.conf").exists
    cluster.play("site.yml").raise_for_failure()
    assert cluster.ready_nodes() >= set(cluster.nodes)


def test_reset_leaves_the_machines_as_they_were(cluster: Cluster, pristine: dict[str, Snapshot]) -> None:
    cluster.play("playbooks/reset.yml", "-e", f"reset_confirm={cluster.name}").raise_for_failure()
    for node in cluster.nodes:
        found = difference(pristine[node], take(docker(f"{cluster.name}-{node}")))
        assert not found, f"{node} differs from what it was:\n{report(found)}"
    again = cluster.play("playbooks/reset.yml", "-e", f"reset_confirm={cluster.name}").raise_for_failure()
    assert again.changed == {}
