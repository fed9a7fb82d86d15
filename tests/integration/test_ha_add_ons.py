"""Add-ons of the highly available cluster: they work, survive a node, and go when they are turned off."""

from __future__ import annotations

import json

from .cluster import Cluster

AUTHORITY = "/etc/kubernetes/pki/ca.crt"
CLIENT = "/etc/kubernetes/pki/apiserver-kubelet-client"


def measured(cluster: Cluster) -> set[str]:
    """The nodes that there are figures of."""
    command = "kubectl --kubeconfig=/etc/kubernetes/admin.conf get nodes.metrics.k8s.io --output=json"
    answer = cluster.host(cluster.control_planes[0]).run(command)
    return {item["metadata"]["name"] for item in json.loads(answer.stdout)["items"]} if answer.rc == 0 else set()


def test_top_answers_for_every_node_and_for_pods(ha_cluster: Cluster) -> None:
    ha_cluster.wait_for(lambda: measured(ha_cluster) == set(ha_cluster.nodes), timeout=60)
    command = "kubectl --kubeconfig=/etc/kubernetes/admin.conf top pods --namespace kube-system --no-headers"
    said = ha_cluster.host(ha_cluster.control_planes[0]).check_output(command)
    assert "kube-apiserver-control-plane-1" in said


def test_two_instances_run_on_two_nodes(ha_cluster: Cluster) -> None:
    pods = ha_cluster.kubectl("get", "pods", "--namespace=kube-system", "--selector=k8s-app=metrics-server")["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_every_kubelet_serves_a_certificate_of_the_cluster(ha_cluster: Cluster) -> None:
    host = ha_cluster.host(ha_cluster.control_planes[0])
    for node in ha_cluster.nodes:
        address = ha_cluster.addresses[node]
        host.check_output(
            f"curl --fail --silent --cacert {AUTHORITY} --cert {CLIENT}.crt --key {CLIENT}.key https://{address}:10250/healthz"
        )


def test_turned_off_it_is_removed_and_comes_back(ha_cluster: Cluster) -> None:
    off = ha_cluster.play("site.yml", "--tags", "add-ons", "-e", "cluster_metrics_server=false").raise_for_failure()
    assert "kubectl top" in off.output
    assert measured(ha_cluster) == set()
    again = ha_cluster.play("site.yml", "--tags", "add-ons", "-e", "cluster_metrics_server=false").raise_for_failure()
    assert again.changed == {}
    ha_cluster.play("site.yml", "--tags", "add-ons").raise_for_failure()
    ha_cluster.wait_for(lambda: measured(ha_cluster) == set(ha_cluster.nodes), timeout=60)
