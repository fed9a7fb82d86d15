from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

Kubectl = Callable[[str], Any]
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"


def test_it_answers_the_api_server(kubectl: Kubectl) -> None:
    (service,) = [
        item for item in kubectl("get apiservices")["items"] if item["metadata"]["name"].endswith("metrics.k8s.io")
    ]
    conditions = {condition["type"]: condition["status"] for condition in service["status"]["conditions"]}
    assert conditions["Available"] == "True"


def test_top_shows_every_node(host: Host, kubectl: Kubectl) -> None:
    host.check_output(f"timeout 60 sh -c 'until {KUBECTL} top nodes --no-headers; do sleep 1; done'")
    names = {node["metadata"]["name"] for node in kubectl("get nodes")["items"]}
    measured = {node["metadata"]["name"] for node in kubectl("get nodes.metrics.k8s.io")["items"]}
    assert measured == names


def test_it_checks_the_kubelets_certificates(kubectl: Kubectl) -> None:
    (deployment,) = kubectl("get deployments --namespace kube-system --selector kubestead.io/owner=metrics-server")[
        "items"
    ]
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not [argument for argument in arguments if "insecure" in argument]
