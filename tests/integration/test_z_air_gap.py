"""A cluster whose nodes reach nothing but each other and the mirror. After those tests that want nodes which nothing was installed on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from .cluster import ROOT, Cluster

ANOTHER_NETWORK = "192.0.2.1"  # kept for documentation; nothing is sent there


SOURCES = "/etc/apt/sources.list.d"
KEPT = "/root/sources-kept"
KEY = "/etc/apt/keyrings/mirror.asc"
# What docs/mirror.md has people put in place of the distribution's own sources.
SOURCE = "Types: deb\\nURIs: {mirror}/debian/\\nSuites: /\\nSigned-By: " + KEY


@pytest.fixture
def distribution(cluster: Cluster) -> Iterator[None]:
    """The mirror holds the operating system's packages, and apt on each node knows no other place for them."""
    build = [str(Path(sys.executable).with_name("kubestead")), "mirror", "build", "--with-os-packages"]
    subprocess.run(build, cwd=ROOT, check=True)
    mirror = yaml.safe_load((cluster.inventory / "group_vars/all/cluster.yml").read_text())["cluster_mirror_url"]
    for node in cluster.nodes:
        cluster.host(node).check_output(
            f"mkdir {KEPT} && mv {SOURCES}/* {KEPT}/ && curl -fsS --create-dirs -o {KEY} {mirror}/debian/Release.key"
            f" && printf '{SOURCE.format(mirror=mirror)}\\n' > {SOURCES}/mirror.sources"
        )
    yield
    for node in cluster.nodes:
        cluster.host(node).check_output(f"rm {SOURCES}/mirror.sources {KEY} && mv {KEPT}/* {SOURCES}/ && rmdir {KEPT}")


@pytest.fixture
def outside() -> Iterator[tuple[str, int]]:
    """A server of this machine at an address that is not in the lab's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((ANOTHER_NETWORK, 9))
        address = probe.getsockname()[0]
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()


def reaches(cluster: Cluster, node: str, place: tuple[str, int]) -> bool:
    """Whether a connection from a node to this place opens."""
    return bool(cluster.host(node).run(f"timeout 3 bash -c '</dev/tcp/{place[0]}/{place[1]}'").rc == 0)


@pytest.fixture
def closed(cluster: Cluster, outside: tuple[str, int]) -> Iterator[None]:
    """A rule in each node that lets nothing out of the lab's network, neither the node's packets nor its pods'."""
    network = ip_network(f"{cluster.addresses[cluster.nodes[0]]}/24", strict=False)
    rules = [f"{chain} --out-interface eth0 ! --destination {network} --jump REJECT" for chain in ("OUTPUT", "FORWARD")]
    for node in cluster.nodes:
        assert reaches(cluster, node, outside), "a way out that was never open shows nothing"
        for rule in rules:
            cluster.host(node).check_output(f"iptables --wait --insert {rule}")
        assert not reaches(cluster, node, outside)
    yield
    for node in cluster.nodes:
        for rule in rules:
            cluster.host(node).check_output(f"iptables --wait --delete {rule}")


@pytest.mark.full
@pytest.mark.usefixtures("clean_nodes", "distribution", "closed")
def test_a_cluster_is_built_with_every_way_out_closed(cluster: Cluster, outside: tuple[str, int]) -> None:
    run = cluster.play("site.yml").raise_for_failure()
    assert set(run.changed) == set(cluster.nodes)
    assert cluster.ready_nodes() == set(cluster.nodes)
    assert not any(reaches(cluster, node, outside) for node in cluster.nodes), "the rules were there to the end"
    assert cluster.play("site.yml").raise_for_failure().changed == {}
