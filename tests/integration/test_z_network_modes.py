"""A cluster with kube-proxy's other mode and flannel's other backend; its run ends with the smoke test as any other.

After those tests that want nodes which nothing was installed on.
"""

from __future__ import annotations

import pytest

from .cluster import Cluster

MODES = ("-e", "cluster_proxy_mode=nftables", "-e", "cluster_flannel_backend=host-gw")


@pytest.mark.full
@pytest.mark.usefixtures("clean_nodes")
def test_services_by_nftables_and_pods_by_routes(cluster: Cluster) -> None:
    cluster.play("site.yml", *MODES).raise_for_failure()
    first = cluster.host(cluster.control_planes[0])
    tables = first.check_output("nft list tables").splitlines()
    assert "table ip kube-proxy" in tables
    assert "KUBE-SVC" not in first.check_output("iptables-save --table nat"), "services are in nftables alone"
    links = first.check_output("ip -o link")
    assert "flannel.1" not in links, "no packet travels inside of another"
    others = {cluster.addresses[node] for node in cluster.nodes} - {cluster.addresses[cluster.control_planes[0]]}
    routes = first.check_output("ip route show")
    assert all(f"via {address} dev eth0" in routes for address in others)
    assert cluster.play("site.yml", *MODES).raise_for_failure().changed == {}
