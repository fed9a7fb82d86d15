from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kubestead.runs.status import ClusterStatus, judge

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = ("control-plane-1", "control-plane-2", "worker-1")


def node(name: str, **other: Any) -> dict[str, Any]:
    told = {
        "name": name,
        "ready": True,
        "message": "",
        "schedulable": True,
        "version": "v1.36.4",
        "address": "192.0.2.1",
    }
    return {**told, "control_plane": name.startswith("control"), **other}


def member(name: str, *, learner: bool = False) -> dict[str, Any]:
    return {"name": name, "addresses": ["192.0.2.1"], "learner": learner}


def view() -> dict[str, Any]:
    return {
        "nodes": [node(name) for name in NAMES],
        "api_error": "",
        "etcd": {
            "external": [],
            "healthy": True,
            "version": "3.6.8",
            "members": [member("control-plane-1"), member("control-plane-2")],
            "error": "",
        },
        "certificates": [
            {"name": "pki/ca.crt", "expires": "2036-11-18T12:00:00Z", "error": ""},
            {"name": "pki/apiserver.crt", "expires": "2027-11-21T12:00:00Z", "error": ""},
        ],
    }


def host(name: str, group: str, **other: Any) -> dict[str, Any]:
    cluster = view() if group == "control_plane" else {}
    told = {"groups": [group], "name": name, "stage": "member", "containerd": "2.3.7", "cluster": cluster}
    return {**told, "virtual_ip": "192.0.2.10", "addresses": ["192.0.2.1"], **other}


@pytest.fixture
def found() -> dict[str, dict[str, Any]]:
    return {
        "balancer-1": host("balancer-1", "load_balancers", addresses=["192.0.2.5", "192.0.2.10"]),
        "balancer-2": host("balancer-2", "load_balancers"),
        "control-plane-1": host("control-plane-1", "control_plane"),
        "control-plane-2": host("control-plane-2", "control_plane"),
        "worker-1": host("worker-1", "workers"),
    }


def of(found: dict[str, dict[str, Any]], *silent: str) -> ClusterStatus:
    return judge({name: told for name, told in found.items() if name not in silent}, silent, NOW)


def test_a_healthy_cluster(found: dict[str, Any]) -> None:
    status = of(found)
    assert status.healthy
    assert status.problems == []
    assert [row.name for row in status.nodes] == list(NAMES)
    first = status.nodes[0]
    assert (first.part, first.state, first.version, first.containerd) == ("control plane", "Ready", "1.36.4", "2.3.7")
    assert (first.etcd, first.certificates_expire) == ("3.6.8", "2027-11-21T12:00:00Z")
    assert status.nodes[2].etcd == ""
    assert (status.virtual_ip, status.virtual_ip_holders) == ("192.0.2.10", ["balancer-1"])


def test_a_host_that_is_not_in_the_cluster(found: dict[str, Any]) -> None:
    found["worker-2"] = host("worker-2", "workers", stage="absent")
    status = of(found)
    assert status.problems == ["worker-2 is in the inventory, and not in the cluster"]
    assert (status.nodes[-1].name, status.nodes[-1].state) == ("worker-2", "not in the cluster")


def test_a_node_that_is_not_in_the_inventory(found: dict[str, Any]) -> None:
    del found["worker-1"]
    assert of(found).problems == ["worker-1 is in the cluster, and not in the inventory"]


def test_a_machine_that_is_silent_is_not_called_a_stranger(found: dict[str, Any]) -> None:
    assert of(found, "worker-1").problems == ["worker-1 gave no answer, so nothing is known of the machine itself"]


def test_a_node_that_is_not_ready_and_one_that_is_cordoned(found: dict[str, Any]) -> None:
    nodes = found["control-plane-1"]["cluster"]["nodes"]
    nodes[1].update(ready=False, message="Kubelet stopped posting node status.")
    nodes[2].update(schedulable=False)
    status = of(found)
    assert status.problems == ["control-plane-2 is not Ready: Kubelet stopped posting node status."]
    assert [row.state for row in status.nodes] == ["Ready", "not Ready", "Ready, cordoned"]


def test_another_control_plane_is_asked_where_the_first_has_no_answer(found: dict[str, Any]) -> None:
    found["control-plane-1"]["cluster"].update(nodes=[], api_error="`kubectl get nodes` failed:\nrefused")
    status = of(found)
    assert status.problems == ["the API server gives no answer to control-plane-1: refused"]
    assert len(status.nodes) == 3


def test_no_answer_at_all_does_not_make_every_host_a_missing_one(found: dict[str, Any]) -> None:
    for name in NAMES[:2]:
        found[name]["cluster"].update(nodes=[], api_error="refused")
    assert of(found).problems == [f"the API server gives no answer to {name}: refused" for name in NAMES[:2]]


def test_a_cluster_that_is_not_built() -> None:
    told = host("control-plane-1", "control_plane", cluster={}, virtual_ip="", stage="absent")
    (problem,) = of({"control-plane-1": told}).problems
    assert problem.startswith("no control plane knows of a cluster")
    assert of({}).problems == [problem]


def test_etcd(found: dict[str, Any]) -> None:
    found["control-plane-1"]["cluster"]["etcd"]["members"] += [
        member("control-plane-9"),
        member("worker-1", learner=True),
    ]
    found["control-plane-2"]["cluster"]["etcd"].update(healthy=False, error="No space.")
    status = of(found)
    assert status.problems == [
        "etcd on control-plane-2: No space.",
        "etcd has a member control-plane-9, and the cluster no such node",
        "etcd's member worker-1 is still learning, and has no vote",
    ]
    assert status.nodes[1].etcd == "unhealthy"


def test_an_etcd_of_ones_own(found: dict[str, Any]) -> None:
    for name in NAMES[:2]:
        found[name]["cluster"]["etcd"] = {
            "external": ["https://e:2379"],
            "healthy": None,
            "version": "",
            "members": [],
            "error": "",
        }
    status = of(found)
    assert status.healthy
    assert status.nodes[0].etcd == "external"


@pytest.mark.parametrize(
    ("expires", "problems"),
    [
        ("2026-12-22T12:00:00Z", []),
        ("2026-12-02T12:00:00Z", ["pki/apiserver.crt on control-plane-1 expires in 11 days"]),
        ("2026-11-21T13:00:00Z", ["pki/apiserver.crt on control-plane-1 expires in 0 days"]),
        ("2026-11-20T12:00:00Z", ["pki/apiserver.crt on control-plane-1 expired on 2026-11-20"]),
    ],
)
def test_certificates(found: dict[str, Any], expires: str, problems: list[str]) -> None:
    found["control-plane-1"]["cluster"]["certificates"][1]["expires"] = expires
    assert of(found).problems == problems


def test_a_certificate_that_cannot_be_read(found: dict[str, Any]) -> None:
    found["control-plane-1"]["cluster"]["certificates"][1] = {"name": "pki/a.crt", "expires": "", "error": "damaged"}
    assert of(found).problems == ["pki/a.crt on control-plane-1: damaged"]


def test_the_virtual_address(found: dict[str, Any]) -> None:
    found["balancer-2"]["addresses"].append("192.0.2.10")
    assert of(found).problems == [
        "the virtual address 192.0.2.10 is held by balancer-1 and balancer-2 at the same time"
    ]
    for name in ("balancer-1", "balancer-2"):
        found[name]["addresses"] = []
    assert of(found).problems == ["no machine holds the virtual address 192.0.2.10"]
    assert len(of(found, "balancer-2").problems) == 1, "the silent one may hold it"


def addon(trouble: str = "", version: str = "v0.8.1") -> dict[str, str]:
    name = "Deployment kube-system/metrics-server"
    return {"addon": "metrics-server", "name": name, "version": version, "trouble": trouble}


def test_add_ons_are_told_with_their_versions(found: dict[str, Any]) -> None:
    assert of(found).addons == []
    for name in ("control-plane-1", "control-plane-2"):
        found[name].update(addons=[addon(), addon(version="")], addons_error="")
    status = of(found)
    assert [(one.name, one.version, one.ready) for one in status.addons] == [("metrics-server", "0.8.1", True)]
    assert status.healthy


def test_an_add_on_that_is_not_ready_is_amiss(found: dict[str, Any]) -> None:
    found["control-plane-1"]["addons"] = [addon("1 of 2 pods are ready")]
    status = of(found)
    assert [one.ready for one in status.addons] == [False]
    assert status.problems == [
        "the add-on metrics-server is not ready: of its Deployment kube-system/metrics-server, 1 of 2 pods are ready"
    ]


def test_add_ons_that_nobody_could_tell_of_are_amiss_and_one_answer_is_enough(found: dict[str, Any]) -> None:
    found["control-plane-1"]["addons_error"] = "kubectl: forbidden"
    assert of(found).healthy
    found["control-plane-2"]["addons_error"] = "kubectl: forbidden"
    assert of(found).problems == ["nobody could tell of the add-ons: kubectl: forbidden"]


def test_an_add_on_that_the_inventory_turns_on_is_missed(found: dict[str, Any]) -> None:
    for told in found.values():
        told["addons_wanted"] = ["metrics-server"]
    assert of(found).problems == [
        "the inventory turns the add-on metrics-server on, and the cluster lacks it: `kubestead apply` brings it"
    ]
    found["control-plane-1"]["addons"] = [addon()]
    assert of(found).healthy
