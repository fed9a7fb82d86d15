"""A highly available cluster becomes the next minor release, under a workload. The last of its tests: it stays at that release."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from .cluster import ROOT, Cluster, Run
from .failures.client import Writer, lost
from .failures.whole import Observer
from .test_versions import CATALOGUE
from .workload import Workload

OLD, NEW = "1.36", "1.37"
# What is refused needs no artefacts.
WITHOUT_MIRROR = ("-e", "cluster_validate_mirror=false")
RELEASE = CATALOGUE["releases"][NEW]
WANTED = f"v{RELEASE['kubernetes']}"
# Writes of the client; it begins ten in a second, and an upgrade of this cluster takes some minutes.
WRITES = 9000
# Seconds. The goal is 2 s, and docs/upgrade.md shows what was measured; a busy machine must keep this one too.
LONGEST_GAP = 10.0
INTO_THE_SECOND = 8.0


@pytest.fixture(scope="module")
def mirror() -> None:
    """The mirror holds the new release too."""
    build = [str(Path(sys.executable).with_name("kubestead")), "mirror", "build", "--kubernetes", NEW]
    subprocess.run(build, cwd=ROOT, check=True)
    # What this cluster's inventory turns on.
    subprocess.run([*build, "--component", "metrics-server"], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    return Observer(ha_cluster)


@pytest.fixture
def silent(ha_cluster: Cluster) -> Iterator[str]:
    """A worker whose kubelet is stopped, so that what the cluster knows of it can be made up. Its name."""
    name = ha_cluster.nodes[-1]
    host = ha_cluster.host(name)
    host.check_output("systemctl stop kubelet")
    yield name
    host.check_output("systemctl start kubelet")
    ha_cluster.wait_for(lambda: versions(ha_cluster)[name] != "v1.99.0" and name in ha_cluster.ready_nodes())


def upgrade(cluster: Cluster, version: str, *arguments: str) -> Run:
    return cluster.play("playbooks/upgrade.yml", "-e", f"cluster_kubernetes_version={version}", *arguments)


def versions(cluster: Cluster) -> dict[str, str]:
    nodes = cluster.kubectl("get", "nodes")["items"]
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}


def pretend(cluster: Cluster, name: str, **status: object) -> None:
    """Change what the cluster knows of a node."""
    patch = json.dumps({"status": status})
    host = cluster.host(cluster.control_planes[0])
    kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
    host.check_output(f"{kubectl} patch node {name} --subresource=status --type=strategic --patch '{patch}'")


def refused(run: Run, *words: str) -> None:
    assert run.code != 0
    assert run.changed == {}
    said = run.output.replace("\\n", "\n")
    assert [word for word in words if word not in said] == []
    assert "Nothing was changed" in said


def test_building_does_not_upgrade(ha_cluster: Cluster) -> None:
    run = ha_cluster.play("site.yml", "-e", f"cluster_kubernetes_version={NEW}", *WITHOUT_MIRROR)
    assert run.code != 0
    assert run.changed == {}
    assert "kubernetes-older" in run.output
    assert "kubestead upgrade" in run.output


def test_the_way_back_is_refused(ha_cluster: Cluster) -> None:
    refused(upgrade(ha_cluster, "1.35", *WITHOUT_MIRROR), "cannot go back to an older release")


def test_kubelets_too_new_are_refused(ha_cluster: Cluster, silent: str) -> None:
    pretend(ha_cluster, silent, nodeInfo={"kubeletVersion": "v1.99.0"})
    refused(upgrade(ha_cluster, NEW, *WITHOUT_MIRROR), silent, "newer than every API server")


def test_a_cluster_that_lacks_something_is_refused(ha_cluster: Cluster, silent: str) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "Test", "message": "made up by a test"}
    pretend(ha_cluster, silent, conditions=[condition])
    refused(upgrade(ha_cluster, NEW, *WITHOUT_MIRROR), f"{silent} is not Ready: made up by a test")


# kubeadm takes minutes for each control plane: test_zz_upgrade has a cluster of one with every change.
@pytest.mark.full
@pytest.mark.usefixtures("mirror")
def test_an_upgrade_broken_off_and_run_again_disturbs_nobody(ha_cluster: Cluster, observer: Observer) -> None:
    ha_cluster.wait_until_none(observer.defects)
    image = CATALOGUE["releases"][OLD]["images"]["agnhost"]
    entrance = ha_cluster.addresses[ha_cluster.control_planes[0]]
    with Workload(ha_cluster, image, entrance) as web, Writer(observer.endpoint, WRITES) as writer:
        with upgrading(ha_cluster, ha_cluster.control_planes[1]) as run:
            os.killpg(run.pid, signal.SIGKILL)
        # kubeadm goes on alone, and the next run meets it at work.
        upgrade(ha_cluster, NEW).raise_for_failure()
        writer.stop()
        present = writer.present(observer.endpoint)
    print(f"longest API gap {writer.gap:.2f} s over {writer.sent} writes, failed attempts: {dict(writer.failures)}")
    print(f"{len(web.failed)} of {web.requests} requests failed, failed attempts: {dict(web.attempts)}")
    assert web.failed == []
    assert lost(writer.acknowledged, present) == []
    assert len(writer.acknowledged) == writer.sent
    assert writer.gap <= LONGEST_GAP, f"failed attempts: {dict(writer.failures)}"


@pytest.mark.full
def test_everything_has_the_new_release(ha_cluster: Cluster, observer: Observer) -> None:
    ha_cluster.wait_until_none(observer.defects)
    nodes = ha_cluster.kubectl("get", "nodes")["items"]
    assert versions(ha_cluster) == dict.fromkeys(ha_cluster.nodes, WANTED)
    assert [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")] == []
    pods = ha_cluster.kubectl("get", "pods", "--namespace=kube-system")["items"]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns")
    assert {RELEASE["images"][name] for name in names} <= images
    old = set(CATALOGUE["releases"][OLD]["images"].values()) - set(RELEASE["images"].values())
    assert images & old == set()
    for name in ha_cluster.nodes:
        assert set(ha_cluster.host(name).check_output("apt-mark showhold").split()) >= {"kubeadm", "kubelet", "kubectl"}
    snapshots = "ls /var/lib/kubestead/etcd-snapshots/*.db 2>/dev/null || true"
    assert any(ha_cluster.host(name).check_output(snapshots) for name in ha_cluster.control_planes)


@pytest.mark.full
def test_once_more_changes_nothing(ha_cluster: Cluster) -> None:
    assert upgrade(ha_cluster, NEW).raise_for_failure().changed == {}
    site = ha_cluster.play("site.yml", "-e", f"cluster_kubernetes_version={NEW}")
    assert site.raise_for_failure().changed == {}


@contextmanager
def upgrading(cluster: Cluster, host: str) -> Iterator[subprocess.Popen[str]]:
    """A run of the upgrade, some seconds after kubeadm began on this host."""
    run = cluster.start("playbooks/upgrade.yml", "-e", f"cluster_kubernetes_version={NEW}")
    drain = Thread(target=run.stdout.read if run.stdout else None, daemon=True)
    drain.start()
    try:
        cluster.wait_for(lambda: cluster.host(host).run("pgrep -f '^[^ ]*kubeadm upgrade'").rc == 0, timeout=400)
        time.sleep(INTO_THE_SECOND)
        assert run.poll() is None, "the run was over before it could be disturbed"
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(timeout=60)
        drain.join()
