from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from testinfra.host import Host

Kubectl = Callable[[str], Any]
SELECTED = "--namespace kube-system --selector kubestead.io/owner=calico"


def test_calico_runs_on_the_node(kubectl: Kubectl) -> None:
    (daemon_set,) = kubectl(f"get daemonsets {SELECTED}")["items"]
    status = daemon_set["status"]
    assert status["desiredNumberScheduled"] == status["numberReady"] == len(kubectl("get nodes")["items"])


def test_its_images_are_of_the_wanted_release(kubectl: Kubectl, release: dict[str, Any]) -> None:
    pods = [item["spec"]["template"]["spec"] for item in kubectl(f"get daemonsets,deployments {SELECTED}")["items"]]
    used = {container["image"] for pod in pods for container in [*pod["containers"], *pod.get("initContainers", [])]}
    names = ("calico-node", "calico-cni", "calico-kube-controllers")
    assert used == {release["images"][name].replace(release["sources"]["calico"], "3.28.5") for name in names}


def test_a_small_cluster_has_no_typha(kubectl: Kubectl) -> None:
    deployments = kubectl(f"get deployments {SELECTED}")["items"]
    assert [item["metadata"]["name"] for item in deployments] == ["calico-kube-controllers"]


def test_the_pool_is_the_clusters_range(kubectl: Kubectl) -> None:
    (pool,) = kubectl("get ippools.crd.projectcalico.org")["items"]
    assert pool["spec"]["cidr"] == "10.244.0.0/16"
    assert (pool["spec"]["vxlanMode"], pool["spec"]["ipipMode"]) == ("Always", "Never")


def test_the_node_is_ready_and_its_network_says_what_it_was_built_with(kubectl: Kubectl, host: Host) -> None:
    host.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf wait node control-plane-1 --for condition=Ready --timeout 60s"
    )
    network = json.loads(host.file("/etc/cni/net.d/10-calico.conflist").content_string)
    assert network["kubestead"] == {"encapsulation": "vxlan"}
    assert host.interface("vxlan.calico").exists


def test_dns_comes_up(host: Host) -> None:
    host.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system "
        "rollout status deployment/coredns --timeout 120s"
    )
