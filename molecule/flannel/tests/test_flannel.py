from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

Kubectl = Callable[[str], Any]


def test_flannel_runs_on_every_node(kubectl: Kubectl) -> None:
    (daemon_set,) = kubectl("get daemonsets --namespace kube-flannel")["items"]
    status = daemon_set["status"]
    assert status["desiredNumberScheduled"] == status["numberReady"] == len(kubectl("get nodes")["items"])


def test_its_images_are_the_catalogues(kubectl: Kubectl, release: dict[str, Any]) -> None:
    (daemon_set,) = kubectl("get daemonsets --namespace kube-flannel")["items"]
    pod = daemon_set["spec"]["template"]["spec"]
    used = {container["image"] for container in pod["containers"] + pod["initContainers"]}
    assert used == {release["images"]["flannel"], release["images"]["flannel-cni-plugin"]}


def test_what_it_made_is_marked_as_ours(kubectl: Kubectl) -> None:
    (daemon_set,) = kubectl("get daemonsets --namespace kube-flannel")["items"]
    assert daemon_set["metadata"]["labels"]["kubestead.io/owner"] == "flannel"


def test_the_node_is_ready_and_has_its_part_of_the_pod_network(kubectl: Kubectl, host: Host) -> None:
    host.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf wait node --all --for condition=Ready --timeout 60s"
    )
    (node,) = kubectl("get nodes")["items"]
    assert node["spec"]["podCIDR"].startswith("10.244.")
    assert host.interface("flannel.1").exists


def test_dns_comes_up(host: Host) -> None:
    host.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system "
        "rollout status deployment/coredns --timeout 120s"
    )
