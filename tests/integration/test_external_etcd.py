"""A cluster that keeps its data in an etcd of the user's own, from its first run to its reset.

The tests build on one another, in the order in which they stand.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from .cluster import ROOT, TOKENS, Cluster, Run
from .conftest import lab
from .etcd_machine import Authority, EtcdMachine

INVENTORY = Path(__file__).parent / "inventory-external-etcd"
FILES = ("ca.crt", "client.crt", "client.key")
pytestmark = pytest.mark.full


@dataclass
class Outside:
    """The cluster, its etcd, and who signs for that."""

    cluster: Cluster
    etcd: EtcdMachine
    authority: Authority

    def play(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook to its end, with the etcd as a variable."""
        return self.cluster.play(playbook, "-e", self.variables, *arguments)

    @property
    def variables(self) -> str:
        """The etcd, whose files lie somewhere else each time."""
        folder = self.authority.folder
        files = {"ca_file": "ca.crt", "cert_file": "client.crt", "key_file": "client.key"}
        external = {"endpoints": [self.etcd.url], **{key: str(folder / name) for key, name in files.items()}}
        return json.dumps({"cluster_external_etcd": external})

    def kubectl(self, node: str, *arguments: str) -> str:
        """What kubectl prints, of the API server of this node and no other."""
        server = f"--server=https://{self.cluster.addresses[node]}:6443"
        command = " ".join(["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", server, *arguments])
        return str(self.cluster.host(node).check_output(command))

    def writes(self, node: str, name: str) -> bool:
        """Whether this node's API server can put something into etcd."""
        if self.etcd.keys(f"/registry/configmaps/default/{name}") == 0:
            with contextlib.suppress(AssertionError):
                self.kubectl(node, "create", "configmap", name)
        return self.etcd.keys(f"/registry/configmaps/default/{name}") == 1


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Fresh nodes, and beside them a machine where etcd runs and holds nothing."""
    lab("down", inventory=INVENTORY)
    lab("up", "--no-cluster", inventory=INVENTORY)
    cluster = Cluster(INVENTORY)
    variables = yaml.safe_load((INVENTORY / "group_vars/all/cluster.yml").read_text())
    catalogue = yaml.safe_load((ROOT / "roles/cluster/vars/main/catalogue.yml").read_text())["__cluster_catalogue"]
    image = catalogue["releases"][catalogue["default"]]["images"]["etcd"]
    authority = Authority(tmp_path_factory.mktemp("etcd"), "An authority that kubeadm knows nothing of")
    authority.issue("client")
    etcd = EtcdMachine(cluster.container("etcd-1"), cluster.addresses["etcd-1"])
    etcd.start(authority, variables["cluster_mirror_url"], image)
    yield Outside(cluster, etcd, authority)
    lab("down", inventory=INVENTORY)


def test_check_mode_leaves_fresh_nodes_and_etcd_alone(outside: Outside) -> None:
    run = outside.play("site.yml", "--check", "--diff").raise_for_failure()
    assert set(run.changed) == set(outside.cluster.nodes)
    assert outside.etcd.keys("") == 0


def test_the_first_run_keeps_the_cluster_in_that_etcd(outside: Outside) -> None:
    run = outside.play("site.yml", "--diff").raise_for_failure()
    assert "PRIVATE KEY" not in run.output
    assert "Try what the cluster is for" in run.output, "no smoke test has passed"
    cluster = outside.cluster
    assert cluster.ready_nodes() == set(cluster.nodes)
    for node in cluster.control_planes:
        host = cluster.host(node)
        assert "[+]etcd ok" in outside.kubectl(node, "get", "--raw", "'/readyz?verbose'")
        assert not host.file("/etc/kubernetes/manifests/etcd.yaml").exists
        assert "/etcd:" not in host.check_output("crictl images")
        assert host.check_output("ls -A /var/lib/etcd") == ""
    assert outside.etcd.keys("/registry/minions/") == len(cluster.nodes)


def test_the_key_is_for_root_alone(outside: Outside) -> None:
    for node in outside.cluster.control_planes:
        host = outside.cluster.host(node)
        assert host.file("/etc/kubernetes/external-etcd").mode == 0o700
        assert host.file("/etc/kubernetes/external-etcd/client.key").mode == 0o600
        for name in FILES:
            file = host.file(f"/etc/kubernetes/external-etcd/{name}")
            assert file.content_string == (outside.authority.folder / name).read_text()


def test_the_second_run_changes_nothing(outside: Outside) -> None:
    before = outside.cluster.started(outside.cluster.nodes)
    assert outside.play("site.yml").raise_for_failure().changed == {}
    assert outside.cluster.started(outside.cluster.nodes) == before


def test_a_certificate_made_anew_reaches_the_control_planes_and_is_used(outside: Outside) -> None:
    cluster = outside.cluster
    before = cluster.started(cluster.nodes)
    outside.authority.revoke("client")
    outside.authority.issue("client")
    run = outside.play("site.yml", "--tags", "bootstrap").raise_for_failure()
    assert run.changed == dict.fromkeys(cluster.control_planes, 1)
    # From now on etcd takes the new one alone, and the API servers go on without a restart.
    outside.etcd.drop_connections(outside.authority)
    for node in cluster.control_planes:
        cluster.wait_for(partial(outside.writes, node, f"from-{node}"))
    assert cluster.started(cluster.nodes) == before


def test_reset_leaves_etcd_alone_and_tells_the_way(outside: Outside) -> None:
    keys = outside.etcd.keys("/registry/")
    assert keys > 100
    name = outside.cluster.name
    run = outside.play("playbooks/reset.yml", "-e", f"reset_confirm={name}").raise_for_failure()
    assert "etcdctl del --prefix /registry/" in run.output
    assert outside.etcd.keys("/registry/") >= keys - 20
    for node in outside.cluster.nodes:
        assert not outside.cluster.host(node).file("/etc/kubernetes").exists


def test_what_a_cluster_left_in_etcd_is_not_written_over(outside: Outside) -> None:
    run = outside.play("site.yml")
    assert run.code != 0
    assert "holds the data of a cluster already, below /registry" in run.output
    for node in outside.cluster.nodes:
        assert not outside.cluster.host(node).file("/var/lib/kubestead/in-progress.json").exists


def test_an_init_that_was_killed_is_begun_anew_on_the_data_that_it_left(outside: Outside) -> None:
    outside.etcd.etcdctl("del", "--prefix", "/registry/")
    cluster = outside.cluster
    first = cluster.host(cluster.control_planes[0])
    process = cluster.start("site.yml", "-e", outside.variables)
    assert process.stdout is not None
    threading.Thread(target=process.stdout.read, daemon=True).start()
    cluster.wait_for(lambda: outside.etcd.keys("/registry/namespaces/kube-system") == 1, timeout=180)
    os.killpg(process.pid, signal.SIGKILL)
    first.run("pkill -KILL -x kubeadm")
    process.wait(timeout=60)
    assert first.file("/var/lib/kubestead/in-progress.json").exists
    outside.play("site.yml").raise_for_failure()
    assert cluster.ready_nodes() == set(cluster.nodes)
    assert outside.play("site.yml").raise_for_failure().changed == {}
    assert cluster.kubectl("get", "secrets", "--namespace=kube-system", TOKENS)["items"] == []
