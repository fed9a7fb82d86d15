"""etcd's data is backed up, lost, and brought back: what the snapshot held is there again, and what came later is gone."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .cluster import ROOT, Cluster, Run

NAMESPACE = "life-etcd"
MEMBER = "/var/lib/etcd/member"
# What the running cluster makes anew all the time, forgets after a while, or never keeps in etcd.
FLEETING = {
    *("nodes.metrics.k8s.io", "pods.metrics.k8s.io"),
    *("events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpoints", "componentstatuses"),
    "certificatesigningrequests.certificates.k8s.io",
}
# What nobody touches while a test runs, so that even its revision stays.
STILL = ("configmaps", "secrets", "serviceaccounts", "services", "clusterroles", "rolebindings")
WORKLOAD = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: kept, namespace: {NAMESPACE}}}
data: {{answer: "42"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: kept, namespace: {NAMESPACE}}}
stringData: {{word: open-sesame-{NAMESPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: web, image: "registry.k8s.io/pause:3.10.2"}}]
"""


def kubectl(cluster: Cluster, arguments: str) -> str:
    """What kubectl prints, asked on the first control plane of its own API server."""
    node = cluster.control_planes[0]
    server = f"https://{cluster.addresses[node]}:{cluster.api_port}"
    command = f"kubectl --kubeconfig=/etc/kubernetes/admin.conf --server={server} {arguments}"
    return str(cluster.host(node).check_output(command))


def objects(cluster: Cluster) -> set[tuple[str, ...]]:
    """Kind, namespace, name and uid of every object."""
    kinds = set(kubectl(cluster, "api-resources --verbs=list --output=name").split()) - FLEETING
    columns = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,UID:.metadata.uid"
    listed = kubectl(
        cluster, f"get {','.join(sorted(kinds))} --all-namespaces --no-headers --output=custom-columns={columns}"
    )
    return {tuple(line.split()) for line in listed.splitlines()}


def revisions(cluster: Cluster) -> dict[tuple[str, ...], str]:
    """The revision of each object that nobody touches."""
    columns = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,REVISION:.metadata.resourceVersion"
    listed = kubectl(cluster, f"get {','.join(STILL)} --all-namespaces --no-headers --output=custom-columns={columns}")
    return {tuple(words[:3]): words[3] for words in map(str.split, listed.splitlines())}


def workload_runs(cluster: Cluster) -> bool:
    pods = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}")["items"]
    ready = [
        condition["status"]
        for pod in pods
        for condition in pod["status"].get("conditions", [])
        if condition["type"] == "Ready" and "deletionTimestamp" not in pod["metadata"]
    ]
    return ready == ["True", "True"]


def answers(cluster: Cluster) -> bool:
    return all(
        cluster.host(node).run("kubectl --kubeconfig=/etc/kubernetes/admin.conf get namespaces").rc == 0
        for node in cluster.control_planes
    )


def destroy(cluster: Cluster, nodes: list[str]) -> None:
    """The data of these members is lost while they are stopped; then they are started on nothing."""
    for node in nodes:
        cluster.host(node).check_output("mv /etc/kubernetes/manifests/etcd.yaml /root/etcd.yaml")
    for node in nodes:
        cluster.wait_for(lambda node=node: not cluster.host(node).check_output("crictl ps --quiet --name '^etcd$'"))
        cluster.host(node).check_output(f"rm -rf {MEMBER} && mv /root/etcd.yaml /etc/kubernetes/manifests/etcd.yaml")


@dataclass
class Backup:
    folder: Path
    run: Run
    objects: set[tuple[str, ...]]
    revisions: dict[tuple[str, ...], str]

    @property
    def snapshot(self) -> Path:
        return max(self.folder.glob("etcd-*.db"))


def back_up(cluster: Cluster, folder: Path, *arguments: str) -> Run:
    return cluster.play("playbooks/etcd_backup.yml", "-e", f"etcd_backup_directory={folder}", *arguments)


def restore(cluster: Cluster, snapshot: Path, confirm: str | None = None) -> Run:
    return cluster.play(
        "playbooks/etcd_restore.yml",
        *("-e", f"etcd_restore_snapshot={snapshot}", "-e", f"etcd_restore_confirm={confirm or cluster.name}"),
    )


@pytest.fixture(scope="module")
def workload(ha_cluster: Cluster) -> Iterator[None]:
    node = ha_cluster.host(ha_cluster.control_planes[0])
    command = "kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --filename=-"
    node.check_output(f"{command} <<'END'\n{WORKLOAD}\nEND")
    ha_cluster.wait_for(lambda: workload_runs(ha_cluster))
    yield
    kubectl(ha_cluster, f"delete namespace {NAMESPACE} --ignore-not-found")
    for name in ha_cluster.control_planes:
        ha_cluster.host(name).check_output("rm -rf /var/lib/etcd/before-restore-* /var/lib/kubestead/etcd-snapshots")


@pytest.fixture(scope="module")
def backup(ha_cluster: Cluster, workload: None, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    folder = tmp_path_factory.mktemp("backups")
    before = objects(ha_cluster), revisions(ha_cluster)
    return Backup(folder, back_up(ha_cluster, folder).raise_for_failure(), *before)


def test_a_backup_is_whole_on_both_sides_and_its_owners_alone(ha_cluster: Cluster, backup: Backup) -> None:
    files = sorted(backup.folder.iterdir())
    assert [path.suffixes[-1] for path in files] == [".db", ".json", ".gz"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(backup.folder.stat().st_mode) == 0o700
    told = json.loads(backup.snapshot.with_suffix(".json").read_text())
    assert told["total_keys"] >= len(backup.objects)
    assert sorted(told["members"]) == sorted(ha_cluster.control_planes)
    on_nodes = {
        node: ha_cluster.host(node).run("cd /var/lib/kubestead/etcd-snapshots && stat --format='%a %n' *").stdout
        for node in ha_cluster.control_planes
    }
    (left,) = [listed for listed in on_nodes.values() if listed]
    assert {backup.snapshot.name, backup.snapshot.with_suffix(".json").name} <= set(left.split()[1::2])
    assert set(left.split()[::2]) == {"600"}


def test_a_backup_shows_nothing_of_what_it_holds(backup: Backup) -> None:
    assert b"open-sesame" not in backup.snapshot.read_bytes(), (
        "Secrets are encrypted in etcd, and so in what is taken of it"
    )
    assert "open-sesame" not in backup.run.output
    assert "PRIVATE KEY" not in backup.run.output


def spoiled(kind: str, snapshot: Path, folder: Path) -> Path:
    """A snapshot that was cut short, or one of another cluster."""
    path = folder / f"{kind}.db"
    if kind == "truncated":
        path.write_bytes(snapshot.read_bytes()[:-4096])
    else:
        recorded = ROOT / "tests/unit/plugins/module_utils/recorded/etcd_snapshot.jsonl.gz"
        lines = gzip.decompress(recorded.read_bytes()).splitlines()
        path.write_bytes(b"".join(b64decode(json.loads(line)["result"]["blob"]) for line in lines))
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [("truncated", "was cut short"), ("foreign", "is of another cluster"), ("unconfirmed", "wants its name")],
)
def test_what_cannot_be_restored_is_refused_and_nothing_is_changed(
    ha_cluster: Cluster, backup: Backup, tmp_path: Path, kind: str, said: str
) -> None:
    started = ha_cluster.started(ha_cluster.nodes)
    wrong = "another-cluster" if kind == "unconfirmed" else None
    snapshot = backup.snapshot if wrong else spoiled(kind, backup.snapshot, tmp_path)
    run = restore(ha_cluster, snapshot, wrong)
    assert run.code != 0
    assert said in " ".join(run.output.split())
    assert run.changed == {}
    assert ha_cluster.started(ha_cluster.nodes) == started


def check_restored(cluster: Cluster, backup: Backup) -> None:
    """Everything of the snapshot is there again, what came later is gone, and the cluster is well."""
    cluster.wait_for(lambda: answers(cluster))
    after = objects(cluster)
    assert backup.objects - after == set()
    assert not [found for found in after if "later" in found]
    assert backup.revisions.items() <= revisions(cluster).items()
    assert cluster.ready_nodes() == set(cluster.nodes)
    cluster.wait_for(lambda: workload_runs(cluster))
    # The controllers work with what was restored: a pod that is deleted is made again.
    kubectl(cluster, f"delete pods --namespace={NAMESPACE} --selector=app=web")
    cluster.wait_for(lambda: workload_runs(cluster))


def change(cluster: Cluster) -> None:
    """What happens after the backup."""
    kubectl(cluster, f"create configmap later --namespace={NAMESPACE} --from-literal=a=b")
    kubectl(cluster, f"delete configmap kept --namespace={NAMESPACE}")
    kubectl(cluster, f"scale deployment web --namespace={NAMESPACE} --replicas=3")


def test_the_loss_of_all_three_members(ha_cluster: Cluster, backup: Backup) -> None:
    change(ha_cluster)
    destroy(ha_cluster, ha_cluster.control_planes)
    restore(ha_cluster, backup.snapshot).raise_for_failure()
    check_restored(ha_cluster, backup)
    for node in ha_cluster.control_planes:
        listed = ha_cluster.host(node).check_output("ls -A /var/lib/etcd /var/lib/kubestead")
        assert "restor" not in listed.replace("before-restore-", "")


def told(cluster: Cluster, *words: str) -> Any:
    """What a verb of `kubestead etcd` tells as JSON."""
    command = [str(Path(sys.executable).with_name("kubestead")), "etcd", *words, "-i", str(cluster.inventory), "--json"]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)


def test_defragmentation_leaves_etcd_well(ha_cluster: Cluster) -> None:
    before = {member["name"]: member for member in told(ha_cluster, "status")["members"]}
    assert sorted(before) == sorted(ha_cluster.control_planes)
    freed = told(ha_cluster, "defragment")["data"]["etcd"]["freed"]
    after = told(ha_cluster, "status")
    assert after["problems"] == []
    sizes = {member["name"]: member["size"] for member in after["members"]}
    assert sorted(sizes) == sorted(before)
    assert sum(member["leader"] for member in after["members"]) == 1
    assert freed > 0
    assert sum(sizes.values()) < sum(member["size"] for member in before.values())


@pytest.mark.full
def test_the_loss_of_the_majority_costs_nothing_while_one_member_is_left(
    ha_cluster: Cluster, workload: None, tmp_path: Path
) -> None:
    survivor, *others = ha_cluster.control_planes
    kubectl(ha_cluster, f"create configmap newest --namespace={NAMESPACE} --from-literal=a=b")
    before = Backup(tmp_path, Run(0, ""), objects(ha_cluster), revisions(ha_cluster))
    destroy(ha_cluster, others)
    refused = back_up(ha_cluster, tmp_path)
    assert refused.code != 0
    assert "no control plane has a member of etcd that is well" in " ".join(refused.output.split())
    back_up(ha_cluster, tmp_path, "-e", f"etcd_backup_from={survivor}").raise_for_failure()
    restore(ha_cluster, before.snapshot).raise_for_failure()
    check_restored(ha_cluster, before)
