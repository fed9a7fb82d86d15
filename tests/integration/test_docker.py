"""A cluster whose pods run on Docker, from its first run to its reset.

The tests build on one another, in the order in which they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster
from .conftest import fresh, snapshots
from .residue import LEFT, Snapshot, difference, docker, report, take

INVENTORY = Path(__file__).parent / "inventory-docker"
UNITS = ("docker", "cri-docker", "containerd", "kubelet", "ssh")
# What adduser and groupdel leave, and the package that Docker's brought along; the reset tells of that.
ALSO_LEFT = {"files": ("/etc/group-", "/etc/gshadow-", "/run/adduser"), "packages": ("tini",)}
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Fresh nodes with a mirror beside them that has cri-dockerd, and nothing installed."""
    yield from fresh(INVENTORY, "--no-cluster")


@pytest.fixture(scope="module")
def before(nodes: Cluster) -> dict[str, Snapshot]:
    """What each node was like before anything was installed."""
    return snapshots(nodes)


@pytest.mark.usefixtures("before")
def test_check_mode_leaves_fresh_nodes_alone(nodes: Cluster) -> None:
    run = nodes.play("site.yml", "--check", "--diff").raise_for_failure()
    assert set(run.changed) == set(nodes.nodes)
    for node in nodes.nodes:
        assert not nodes.host(node).file("/etc/docker").exists, f"check mode wrote on {node}"


def test_the_first_run_ends_with_the_smoke_test(nodes: Cluster) -> None:
    run = nodes.play("site.yml", "--diff").raise_for_failure()
    assert "Try what the cluster is for" in run.output, "no smoke test has passed"
    assert nodes.ready_nodes() == set(nodes.nodes)
    for node in nodes.kubectl("get", "nodes")["items"]:
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("docker://")


def test_docker_is_as_the_kubelet_wants_it(nodes: Cluster) -> None:
    for node in nodes.nodes:
        host = nodes.host(node)
        told = json.loads(host.check_output("docker info --format '{{json .}}'"))
        assert told["CgroupDriver"] == "systemd"
        assert told["LiveRestoreEnabled"]
        assert told["Labels"] == ["written-by=Kubestead"]
        assert "docker" in host.user("daemon").groups
        for unit in UNITS[:2]:
            assert host.service(unit).is_running
            assert host.service(unit).is_enabled
        log = json.loads(
            host.check_output("docker inspect --format '{{json .HostConfig.LogConfig}}' $(docker ps -q | head -1)")
        )
        assert log == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "2m"}}
        assert "docker0" not in host.check_output("ip -oneline link show")
        # The lab's own engine has chains there too, for its resolver: DOCKER_OUTPUT and its like.
        assert ":DOCKER" not in host.check_output("iptables-save --table filter")


def test_images_have_their_own_names_alone(nodes: Cluster) -> None:
    for node in nodes.nodes:
        names = nodes.host(node).check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").split()
        assert any(name.startswith("registry.k8s.io/kube-proxy:") for name in names)
        assert not [name for name in names if name.startswith("172.")]


def test_the_second_run_changes_nothing(nodes: Cluster) -> None:
    since = nodes.started(nodes.nodes, UNITS)
    assert nodes.play("site.yml").raise_for_failure().changed == {}
    assert nodes.play("site.yml", "--check", "--diff").raise_for_failure().changed == {}
    assert nodes.started(nodes.nodes, UNITS) == since


def test_pods_go_on_while_docker_gets_new_settings(nodes: Cluster) -> None:
    def containers() -> dict[str, str]:
        return nodes.started(nodes.nodes, ("kubelet",))

    since = containers()
    more = json.dumps({"cluster_docker_config": {"log-opts": {"max-size": "2m"}, "debug": True}})
    run = nodes.play("site.yml", "-e", more).raise_for_failure()
    assert run.changed == dict.fromkeys(nodes.nodes, 1)
    assert containers() == since
    assert nodes.play("site.yml").raise_for_failure().changed == dict.fromkeys(nodes.nodes, 1)
    assert containers() == since


def test_another_runtime_is_refused_before_anything_changes(nodes: Cluster) -> None:
    since = nodes.started(nodes.nodes, UNITS)
    other = ("-e", "cluster_container_runtime=containerd")
    run = nodes.play("site.yml", *other)
    assert run.code != 0
    assert run.changed == {}
    assert (
        "cluster_container_runtime, what runs the containers, is docker in this cluster and cannot become containerd"
        in " ".join(run.output.split())
    )
    # Without preflight, the roles refuse.
    run = nodes.play("site.yml", *other, "--tags", "prepare")
    assert run.code != 0
    assert run.changed == {}
    assert "This node's pods run on docker" in " ".join(run.output.split())
    assert nodes.started(nodes.nodes, UNITS) == since


def test_reset_leaves_the_machines_as_they_were(nodes: Cluster, before: dict[str, Snapshot]) -> None:
    confirmed = ("-e", f"reset_confirm={nodes.name}")
    nodes.play("playbooks/reset.yml", *confirmed).raise_for_failure()
    allowed = {section: (*names, *ALSO_LEFT.get(section, ())) for section, names in LEFT.items()}
    for node in nodes.nodes:
        found = difference(before[node], take(docker(nodes.container(node))), allowed)
        assert not found, f"{node} differs from what it was:\n{report(found)}"
    assert nodes.play("playbooks/reset.yml", *confirmed).raise_for_failure().changed == {}
