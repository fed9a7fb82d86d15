"""A cluster whose network is Calico, from its first run to its reset: policies must keep pods apart, on whichever nodes they are.

The tests build on one another, in the order in which they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import Cluster
from .conftest import fresh, snapshots
from .residue import Snapshot, difference, docker, report, take

INVENTORY = Path(__file__).parent / "inventory-calico"
PORT = 8080
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Fresh nodes with a mirror beside them that has Calico, and nothing installed."""
    yield from fresh(INVENTORY, "--no-cluster")


@pytest.fixture(scope="module")
def before(nodes: Cluster) -> dict[str, Snapshot]:
    """What each node was like before anything was installed."""
    return snapshots(nodes)


@pytest.mark.usefixtures("before")
def test_a_tunnel_that_the_kernel_lacks_is_refused_before_anything_changes(nodes: Cluster) -> None:
    if nodes.host(nodes.nodes[0]).file("/sys/module/ipip").exists:
        pytest.skip("this kernel has IP in IP")
    run = nodes.play("site.yml", "-e", "cluster_calico_encapsulation=ipip")
    assert run.code != 0
    assert run.changed == {}
    assert "neither loaded, built in nor loadable: ipip" in " ".join(run.output.split())


@pytest.mark.usefixtures("before")
def test_check_mode_leaves_fresh_nodes_alone(nodes: Cluster) -> None:
    run = nodes.play("site.yml", "--check", "--diff").raise_for_failure()
    assert set(run.changed) == set(nodes.nodes)
    for node in nodes.nodes:
        assert not nodes.host(node).file("/etc/cni").exists, f"check mode wrote on {node}"


def test_the_first_run_ends_with_a_smoke_test_that_tries_policies(nodes: Cluster) -> None:
    run = nodes.play("site.yml", "--diff").raise_for_failure()
    assert "network-policy" in run.output, "no smoke test has tried policies"
    assert nodes.ready_nodes() == set(nodes.nodes)


def test_calico_is_as_the_inventory_wants_it(nodes: Cluster) -> None:
    (pool,) = nodes.kubectl("get", "ippools.crd.projectcalico.org")["items"]
    assert pool["spec"]["cidr"] == "10.244.0.0/16"
    assert (pool["spec"]["vxlanMode"], pool["spec"]["ipipMode"]) == ("Always", "Never")
    workloads = nodes.kubectl(
        "get", "daemonsets,deployments", "--namespace=kube-system", "--selector=kubestead.io/owner=calico"
    )["items"]
    images = {container["image"] for item in workloads for container in item["spec"]["template"]["spec"]["containers"]}
    assert images == {f"quay.io/calico/{name}:v3.28.5" for name in ("node", "kube-controllers", "typha")}
    for node in nodes.nodes:
        host = nodes.host(node)
        (link,) = json.loads(host.check_output("ip -json -details link show vxlan.calico"))
        # What a node's interface takes, less the tunnel's own 50 bytes.
        (outer,) = json.loads(host.check_output("ip -json link show eth0"))
        assert link["mtu"] == outer["mtu"] - 50
        assert not host.file("/opt/cni/bin/install").exists


def _agent(name: str, app: str, node: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": "agent", "image": image, "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"]}
            ],
        },
    }


def _policy(app: str, allowed: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": app, "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"app": app}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": allowed}}}]}],
        },
    }


def _apply(nodes: Cluster, *objects: dict[str, Any]) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    host = nodes.host(nodes.control_planes[0])
    host.check_output(f"echo '{document}' | kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f -")


def _kubectl(nodes: Cluster, *arguments: str) -> Any:
    host = nodes.host(nodes.control_planes[0])
    return host.run(" ".join(["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments]))


def test_a_policy_lets_in_whom_it_names_and_nobody_else(nodes: Cluster) -> None:
    """One server, asked by two pods on its own node and on another; the policy names one of each."""
    listed = json.loads(nodes.host("worker-1").check_output("crictl images --output json"))["images"]
    agnhost = next(tag for image in listed for tag in image["repoTags"] if "/agnhost:" in tag)
    asking = [(kind, node) for kind in ("guest", "stranger") for node in ("worker-1", "worker-2")]
    _apply(
        nodes,
        _agent("server", "server", "worker-1", agnhost),
        *(_agent(f"{kind}-{node}", kind, node, agnhost) for kind, node in asking),
    )
    assert _kubectl(nodes, "wait", "pods", "--all", "--for=condition=Ready", "--timeout=90s").rc == 0
    address = nodes.kubectl("get", "pod", "server")["status"]["podIP"]

    def answered() -> set[str]:
        command = ("--", "/agnhost", "connect", "--timeout=1s", f"{address}:{PORT}")
        names = [f"{kind}-{node}" for kind, node in asking]
        return {name for name in names if _kubectl(nodes, "exec", name, *command).rc == 0}

    everybody = {f"{kind}-{node}" for kind, node in asking}
    guests = {f"{kind}-{node}" for kind, node in asking if kind == "guest"}
    assert answered() == everybody
    _apply(nodes, _policy("server", "guest"))
    nodes.wait_for(lambda: answered() == guests, 30)
    assert _kubectl(nodes, "delete", "networkpolicy", "server").rc == 0
    nodes.wait_for(lambda: answered() == everybody, 30)
    _kubectl(nodes, "delete", "pods", "--all")


def test_the_second_run_changes_nothing(nodes: Cluster) -> None:
    since = nodes.started(nodes.nodes)
    assert nodes.play("site.yml").raise_for_failure().changed == {}
    assert nodes.play("site.yml", "--check", "--diff").raise_for_failure().changed == {}
    assert nodes.started(nodes.nodes) == since


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "cluster_network=flannel",
            "cluster_network, the pod network, is calico in this cluster and cannot become flannel",
        ),
        (
            "cluster_calico_encapsulation=vxlan-cross-subnet",
            "cluster_calico_encapsulation, how Calico carries packets, is vxlan in this cluster and cannot become vxlan-cross-subnet",
        ),
    ],
)
def test_another_network_is_refused_before_anything_changes(nodes: Cluster, setting: str, said: str) -> None:
    run = nodes.play("site.yml", "-e", setting)
    assert run.code != 0
    assert run.changed == {}
    assert said in " ".join(run.output.split())


def test_reset_leaves_the_machines_as_they_were(nodes: Cluster, before: dict[str, Snapshot]) -> None:
    confirmed = ("-e", f"reset_confirm={nodes.name}")
    nodes.play("playbooks/reset.yml", *confirmed).raise_for_failure()
    for node in nodes.nodes:
        found = difference(before[node], take(docker(nodes.container(node))))
        assert not found, f"{node} differs from what it was:\n{report(found)}"
    assert nodes.play("playbooks/reset.yml", *confirmed).raise_for_failure().changed == {}
