"""New settings reach a highly available cluster that runs, one node at a time; what stays is refused, and the old ones come back."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .cluster import Cluster, Run
from .conftest import HA_INVENTORY
from .failures.client import Writer, lost
from .failures.whole import Observer, wait_until_steady

# Seconds without a successful write that a rolling change may cost. The goal is 2 s; a busy machine must keep this one too.
LONGEST_GAP = 10.0
# Writes at ten in a second, which is longer than a run takes.
LIMIT = 4000
NAME = "api.settings.example.org"
REGISTRY = "registry.settings.example.org"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
API_SERVER = {"apiServer": {"extraArgs": [{"name": "request-timeout", "value": "70s"}]}}
KUBELET = "kubelet.service"
# Where they lead and their API server is away for more than ten seconds, they end by themselves and start again.
LEADERS = {"kube-controller-manager", "kube-scheduler"}
WITHOUT_SMOKE_TEST = ("--skip-tags", "verify")


def variant(folder: Path, **variables: Any) -> Cluster:
    """The same cluster, with other values in its inventory; the kubelet's are put over those that it has."""
    shutil.copytree(HA_INVENTORY, folder)
    path = folder / "group_vars/all/cluster.yml"
    kubelet = {
        **yaml.safe_load((folder / "group_vars/all/00-lab.yml").read_text())["cluster_kubelet_config"],
        **variables.pop("cluster_kubelet_config", {}),
    }
    values = {**yaml.safe_load(path.read_text()), **variables, "cluster_kubelet_config": kubelet}
    path.write_text(yaml.safe_dump(values))
    return Cluster(folder)


def running(cluster: Cluster) -> dict[str, dict[str, str]]:
    """For each node, the services and containers that run, and when each was started."""
    found: dict[str, dict[str, str]] = {}
    for node in cluster.nodes:
        host = cluster.host(node)
        units = ("containerd.service", KUBELET)
        command = "systemctl show --property=ActiveEnterTimestampMonotonic --value"
        found[node] = {unit: host.check_output(f"{command} {unit}") for unit in units}
        for item in json.loads(host.check_output("crictl ps --output json"))["containers"]:
            found[node][f"{item['metadata']['name']} {item['podSandboxId'][:6]}"] = item["createdAt"]
    return found


def restarted(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    """For each node, the names of what was started meanwhile."""
    return {
        node: {name.split()[0] for name, moment in services.items() if before[node].get(name) != moment}
        for node, services in after.items()
    }


def names_verified(cluster: Cluster, node: str, name: str) -> bool:
    """Whether a client that looks for this name accepts the API server of one control plane."""
    authority = cluster.host(node).check_output("cat /etc/kubernetes/pki/ca.crt")
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    address = (cluster.addresses[node], cluster.api_port)
    try:
        with socket.create_connection(address, timeout=5) as plain, context.wrap_socket(plain, server_hostname=name):
            return True
    except ssl.SSLCertVerificationError:
        return False


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    return Observer(ha_cluster)


@pytest.fixture(scope="module")
def changed(ha_cluster: Cluster, observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster's inventory with other settings; at the end the cluster has its own again."""
    assert wait_until_steady(observer.defects, least=0, within=90).missing == ()
    yield variant(
        tmp_path_factory.mktemp("settings") / "inventory",
        cluster_node_port_range="30000-32000",
        cluster_extra_sans=[NAME],
        cluster_kubeadm_cluster_config=API_SERVER,
        cluster_kubelet_config={"maxPods": 120},
        cluster_registry_mirrors={REGISTRY: [f"http://{ha_cluster.virtual_ip}:5000"]},
    )
    ha_cluster.play("site.yml").raise_for_failure()


@pytest.fixture(scope="module")
def meanwhile(changed: Cluster, observer: Observer) -> tuple[Run, dict[str, set[str]], Writer, set[int]]:
    """The run that brought the settings, what it restarted, and a client that wrote meanwhile, with what is there of it."""
    before = running(changed)
    with Writer(observer.endpoint, LIMIT) as writer:
        writer.warm_up(2)
        run = changed.play("site.yml", *WITHOUT_SMOKE_TEST)
        writer.stop()
        present = writer.present(observer.endpoint)
    return run.raise_for_failure(), restarted(before, running(changed)), writer, present


@pytest.mark.usefixtures("meanwhile")
def test_the_settings_are_on_every_node(changed: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node["status"] for node in changed.kubectl("get", "nodes")["items"]}
    assert {name: status["capacity"]["pods"] for name, status in nodes.items()} == dict.fromkeys(changed.nodes, "120")
    for node in changed.control_planes:
        manifest = changed.host(node).file(MANIFEST).content_string
        assert "--service-node-port-range=30000-32000\n" in manifest
        assert "--request-timeout=70s\n" in manifest
        assert names_verified(changed, node, NAME)
    for node in changed.nodes:
        assert changed.host(node).file(f"/etc/containerd/certs.d/{REGISTRY}/hosts.toml").exists


@pytest.mark.usefixtures("meanwhile")
def test_the_cluster_keeps_them_for_joins_and_upgrades(changed: Cluster) -> None:
    maps = changed.kubectl("get", "configmaps", "-n", "kube-system", "kubeadm-config", "kubelet-config")["items"]
    cluster = yaml.safe_load(maps[0]["data"]["ClusterConfiguration"])
    arguments = {one["name"]: one["value"] for one in cluster["apiServer"]["extraArgs"]}
    assert arguments["service-node-port-range"] == "30000-32000"
    assert arguments["request-timeout"] == "70s"
    assert NAME in cluster["apiServer"]["certSANs"]
    assert yaml.safe_load(maps[1]["data"]["kubelet"])["maxPods"] == 120


def test_only_what_reads_them_was_restarted(
    changed: Cluster, meanwhile: tuple[Run, dict[str, set[str]], Writer, set[int]]
) -> None:
    _, started, _, _ = meanwhile
    workers = [node for node in changed.nodes if node not in changed.control_planes]
    assert {node: started[node] for node in workers} == {node: {KUBELET} for node in workers}
    assert {node: started[node] - LEADERS for node in changed.control_planes} == {
        node: {"kube-apiserver", KUBELET} for node in changed.control_planes
    }


def test_clients_go_on_writing(meanwhile: tuple[Run, dict[str, set[str]], Writer, set[int]]) -> None:
    _, _, writer, present = meanwhile
    assert lost(writer.acknowledged, present) == []
    assert writer.gap <= LONGEST_GAP, f"failed attempts: {dict(writer.failures)}"


@pytest.mark.usefixtures("meanwhile")
def test_the_second_run_changes_nothing(changed: Cluster) -> None:
    before = running(changed)
    assert changed.play("site.yml", *WITHOUT_SMOKE_TEST).raise_for_failure().changed == {}
    assert restarted(before, running(changed)) == {node: set() for node in changed.nodes}


@pytest.mark.usefixtures("meanwhile")
def test_what_stays_is_refused_before_anything_is_changed(changed: Cluster) -> None:
    before = running(changed)
    run = changed.play(
        "site.yml",
        *("-e", "cluster_pod_cidr=10.245.0.0/16", "-e", "cluster_endpoint=other.settings.example.org:6443"),
        *("-e", "cluster_network=none", "-e", "cluster_smoke_test=false", "-e", "cluster_node_port_range=30000-31000"),
    )
    assert run.code != 0
    assert run.changed == {}
    assert "cluster_pod_cidr, the pods' address range, is 10.244.0.0/16 in this cluster" in run.output
    assert f"cluster_endpoint, the endpoint, is {changed.virtual_ip}:6443 in this cluster" in run.output
    assert "cluster_network, the pod network, is flannel in this cluster" in run.output
    assert restarted(before, running(changed)) == {node: set() for node in changed.nodes}


@pytest.mark.full
@pytest.mark.usefixtures("meanwhile")
def test_an_argument_that_is_none_stops_at_the_first_control_plane(
    changed: Cluster, observer: Observer, tmp_path: Path
) -> None:
    broken = {"apiServer": {"extraArgs": [{"name": "no-such-argument", "value": "1"}]}}
    wrong = variant(tmp_path / "inventory", cluster_kubeadm_cluster_config=broken)
    before = running(changed)
    manifests = {node: changed.host(node).file(MANIFEST).sha256sum for node in changed.control_planes}
    run = wrong.play("site.yml")
    assert run.code != 0
    assert "unknown flag: --no-such-argument" in run.output
    assert "was put back and kube-apiserver runs as before" in run.output
    assert {node: changed.host(node).file(MANIFEST).sha256sum for node in changed.control_planes} == manifests
    touched = {node for node, names in restarted(before, running(changed)).items() if names}
    assert len(touched) == 1
    assert wait_until_steady(observer.defects, least=0, within=90).missing == ()


@pytest.mark.usefixtures("meanwhile")
def test_the_old_settings_come_back(ha_cluster: Cluster, observer: Observer) -> None:
    ha_cluster.play("site.yml").raise_for_failure()
    nodes = {node["metadata"]["name"]: node["status"] for node in ha_cluster.kubectl("get", "nodes")["items"]}
    assert {name: status["capacity"]["pods"] for name, status in nodes.items()} == dict.fromkeys(
        ha_cluster.nodes, "110"
    )
    for node in ha_cluster.control_planes:
        assert "request-timeout" not in ha_cluster.host(node).file(MANIFEST).content_string
        assert not names_verified(ha_cluster, node, NAME)
    assert ha_cluster.play("site.yml").raise_for_failure().changed == {}
    assert wait_until_steady(observer.defects, least=0, within=90).missing == ()
