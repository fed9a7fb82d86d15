"""Nodes join a cluster that is at work, and leave it: workers, the first control plane, and one that is dead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
import yaml

from kubestead.lab.engine import Docker

from .cluster import Cluster
from .conftest import HA_INVENTORY, lab
from .failures.client import Writer, lost
from .failures.whole import Observer
from .residue import Snapshot, difference, docker, report, take

NEW = "worker-3"
OWN_RULES = (
    "nft add table inet own",
    "nft add chain inet own keep '{ type filter hook input priority 0; }'",
    "nft add rule inet own keep tcp dport 4242 accept",
    "iptables -t nat -N OWN",
    "iptables -t nat -A OWN -p tcp --dport 4243 -j RETURN",
)
# Seconds, as in test_ha_failures: what a client may notice of a control plane that leaves.
LONGEST_GAP = 10.0
WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: guarded, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: guarded}}}}
  template:
    metadata: {{labels: {{app: guarded}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: pause, image: "{image}", imagePullPolicy: IfNotPresent}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: guard, namespace: default}}
spec: {{minAvailable: 2, selector: {{matchLabels: {{app: guarded}}}}}}
"""


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    return Observer(ha_cluster)


@pytest.fixture(scope="module")
def grown(ha_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The same cluster with one more worker in its inventory, and a fresh machine for it, which goes at the end."""
    folder = tmp_path_factory.mktemp("grown") / "inventory"
    shutil.copytree(HA_INVENTORY, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    network = ha_cluster.addresses["worker-2"].rpartition(".")[0]
    hosts["all"]["children"]["workers"]["hosts"][NEW] = {"ansible_host": f"{network}.23"}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    lab("up", "--no-cluster", inventory=folder)
    grown = Cluster(folder)
    grown.host(NEW).check_output(" && ".join(OWN_RULES))
    yield grown
    Docker()("rm", "--force", "--volumes", grown.container(NEW))


@pytest.fixture(scope="module")
def untouched(grown: Cluster) -> Snapshot:
    """What the new machine was like before anything was installed on it."""
    return take(docker(grown.container(NEW)))


@pytest.fixture
def guarded(ha_cluster: Cluster) -> Iterator[None]:
    """A workload whose disruption budget can never be met."""
    first = ha_cluster.host(ha_cluster.control_planes[0])
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    images = json.loads(first.check_output("crictl images --output json"))["images"]
    pause = next(tag for image in images for tag in image["repoTags"] if "/pause:" in tag)
    first.check_output(f"cat >/run/guarded.yml <<'END'\n{WORKLOAD.format(image=pause)}END")
    first.check_output(f"{kubectl} apply -f /run/guarded.yml")
    first.check_output(f"{kubectl} rollout status deployment/guarded --timeout=60s")
    yield
    first.check_output(f"{kubectl} delete -f /run/guarded.yml && rm /run/guarded.yml")


def names(cluster: Cluster, asked: str) -> set[str]:
    """The nodes that a control plane knows."""
    answer = cluster.host(asked).check_output("kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --output=name")
    return {line.removeprefix("node/") for line in answer.split()}


def etcd_members(cluster: Cluster, asked: str) -> set[str]:
    """The names of etcd's members, as the one on a control plane lists them."""
    folder = "/etc/kubernetes/pki/etcd"
    answer = cluster.host(asked).check_output(
        f"curl -sS --fail --cacert {folder}/ca.crt --cert {folder}/healthcheck-client.crt --key {folder}/healthcheck-client.key "
        "--data '{}' https://127.0.0.1:2379/v3/cluster/member/list"
    )
    return {member.get("name", "") for member in json.loads(answer)["members"]}


def schedulable(cluster: Cluster) -> set[str]:
    """The nodes that take pods."""
    nodes = cluster.kubectl("get", "nodes")["items"]
    return {node["metadata"]["name"] for node in nodes if not node["spec"].get("unschedulable")}


def test_what_cannot_be_removed_is_refused(ha_cluster: Cluster) -> None:
    """Each with one message, and nothing changed."""
    for wanted, words in (
        ("worker-22", "Did you mean worker-2?"),
        ("load-balancer-1", "load-balancer-1 is no node"),
        ("control-plane-1,control-plane-3", "2 of 3 members of etcd"),
    ):
        run = ha_cluster.play("playbooks/remove.yml", "-e", f"remove_nodes={wanted}")
        assert run.code != 0
        assert words in run.output
        assert run.changed == {}
    assert names(ha_cluster, "control-plane-2") == set(ha_cluster.nodes)


@pytest.mark.usefixtures("guarded")
def test_a_drain_that_can_never_end_is_refused(ha_cluster: Cluster) -> None:
    run = ha_cluster.play("playbooks/remove.yml", "-e", "remove_nodes=worker-1,worker-2")
    assert run.code != 0
    assert "the PodDisruptionBudget default/guard (minAvailable: 2): it wants 2 of 2 pods healthy" in run.output
    assert run.changed == {}
    assert schedulable(ha_cluster) == set(ha_cluster.nodes)


def test_a_further_worker_touches_only_itself(ha_cluster: Cluster, grown: Cluster, untouched: Snapshot) -> None:
    before = ha_cluster.started(ha_cluster.nodes)
    run = grown.play("playbooks/add.yml").raise_for_failure()
    assert set(run.changed) == {NEW}
    assert grown.ready_nodes() == set(grown.nodes)
    after = ha_cluster.started(ha_cluster.nodes)
    for node in ha_cluster.nodes:
        assert set(before[node].splitlines()) <= set(after[node].splitlines()), f"something on {node} was started again"
    again = grown.play("playbooks/add.yml").raise_for_failure()
    assert again.changed == {}
    assert NEW not in again.recap


def test_a_removed_worker_is_as_it_was_before(ha_cluster: Cluster, grown: Cluster, untouched: Snapshot) -> None:
    """Also the machine's own rules of the packet filter."""
    run = grown.play("playbooks/remove.yml", "-e", f"remove_nodes={NEW}").raise_for_failure()
    assert set(run.changed) == {NEW}
    assert names(ha_cluster, "control-plane-2") == set(ha_cluster.nodes)
    found = difference(untouched, take(docker(grown.container(NEW))))
    assert not found, f"{NEW} differs from what it was:\n{report(found)}"
    again = grown.play("playbooks/remove.yml", "-e", f"remove_nodes={NEW}").raise_for_failure()
    assert again.changed == {}


def test_the_first_control_plane_leaves_and_clients_go_on(ha_cluster: Cluster, observer: Observer) -> None:
    first, *others = ha_cluster.control_planes
    with Writer(observer.endpoint) as writer:
        writer.warm_up(2)
        run = ha_cluster.play("playbooks/remove.yml", "-e", f"remove_nodes={first}").raise_for_failure()
        writer.stop()
        here = writer.present(observer.endpoint)
    assert lost(writer.acknowledged, here) == [], f"acknowledged and lost; failed attempts: {writer.failures}"
    assert writer.gap <= LONGEST_GAP, f"failed attempts: {writer.failures}"
    assert names(ha_cluster, others[0]) == set(ha_cluster.nodes) - {first}
    assert etcd_members(ha_cluster, others[0]) == set(others)
    assert set(run.changed) <= {*ha_cluster.nodes, *ha_cluster.load_balancers}
    for balancer in ha_cluster.load_balancers:
        assert (
            ha_cluster.addresses[first] not in ha_cluster.host(balancer).file("/etc/haproxy/haproxy.cfg").content_string
        )
    for node in set(ha_cluster.nodes) - {first}:
        assert first not in ha_cluster.host(node).file("/etc/hosts").content_string
    assert not ha_cluster.host(first).file("/etc/kubernetes/admin.conf").exists


def test_it_comes_back_and_the_cluster_is_whole(ha_cluster: Cluster, observer: Observer) -> None:
    ha_cluster.play("playbooks/add.yml").raise_for_failure()
    assert etcd_members(ha_cluster, "control-plane-2") == set(ha_cluster.control_planes)
    ha_cluster.wait_until_none(observer.defects)
    assert ha_cluster.play("site.yml").raise_for_failure().changed == {}


@pytest.mark.full
def test_a_dead_control_plane_is_forgotten_only_if_it_is_said(ha_cluster: Cluster, observer: Observer) -> None:
    gone = ha_cluster.control_planes[-1]
    Docker()("kill", ha_cluster.container(gone))
    for wanted, words in ((gone, "remove_dead=true"), ("control-plane-1", f"No answer comes from {gone}")):
        refused = ha_cluster.play("playbooks/remove.yml", "-e", f"remove_nodes={wanted}")
        assert refused.code != 0
        assert words in refused.output
        assert refused.changed == {}
    dead = ("-e", f"remove_nodes={gone}", "-e", "remove_dead=true")
    ha_cluster.play("playbooks/remove.yml", *dead).raise_for_failure()
    assert names(ha_cluster, "control-plane-1") == set(ha_cluster.nodes) - {gone}
    assert etcd_members(ha_cluster, "control-plane-1") == set(ha_cluster.control_planes) - {gone}
    lab("up", "--no-cluster", inventory=HA_INVENTORY)
    confirmed = f"reset_confirm={ha_cluster.name}"
    ha_cluster.play("playbooks/reset.yml", "-e", confirmed, "--limit", gone).raise_for_failure()
    ha_cluster.play("playbooks/add.yml").raise_for_failure()
    assert etcd_members(ha_cluster, "control-plane-1") == set(ha_cluster.control_planes)
    ha_cluster.wait_until_none(observer.defects)
