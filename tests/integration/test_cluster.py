"""The life of a cluster as site.yml leads it. The tests build on one another, in the order in which they stand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from .cluster import ROOT, TOKENS, Cluster

# A bootstrap token, or a private key.
SECRET = r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|BEGIN [A-Z ]*PRIVATE KEY"
PLACES = "/tmp /var/tmp /root/.ansible /var/lib/kubestead /var/log /run/kubestead*"


@pytest.mark.usefixtures("pristine")
def test_check_mode_does_not_fail_on_fresh_nodes(cluster: Cluster) -> None:
    run = cluster.play("site.yml", "--check", "--diff").raise_for_failure()
    assert set(run.changed) == set(cluster.nodes), "a fresh node has everything still to come"
    for node in cluster.nodes:
        assert not cluster.host(node).file("/etc/containerd/config.toml").exists, f"check mode wrote on {node}"


def test_the_first_run_builds_a_cluster(cluster: Cluster) -> None:
    run = cluster.play("site.yml").raise_for_failure()
    assert cluster.ready_nodes() == set(cluster.nodes)
    assert set(run.changed) == set(cluster.nodes)


def test_the_second_run_changes_nothing(cluster: Cluster) -> None:
    before = cluster.started(cluster.nodes)
    run = cluster.play("site.yml").raise_for_failure()
    assert run.changed == {}
    assert cluster.started(cluster.nodes) == before


def test_check_mode_predicts_nothing_for_a_built_cluster(cluster: Cluster) -> None:
    assert cluster.play("site.yml", "--check", "--diff").raise_for_failure().changed == {}


def test_the_control_plane_runs_what_the_catalogue_says(cluster: Cluster) -> None:
    catalogue = yaml.safe_load((ROOT / "roles/cluster/vars/main/catalogue.yml").read_text())["__cluster_catalogue"]
    release = catalogue["releases"][catalogue["default"]]
    images = {
        container["image"]
        for pod in cluster.kubectl("get", "pods", "--all-namespaces")["items"]
        for container in pod["spec"]["containers"]
    }
    optional = {
        name for values in catalogue["optional_components"].values() for names in values.values() for name in names
    }
    on_request = {name for names in catalogue["component_groups"].values() for name in names}
    elsewhere = {"pause", "agnhost", "flannel-cni-plugin", *optional, *on_request}
    expected = {image for name, image in release["images"].items() if name not in elsewhere}
    assert images >= expected
    for node in cluster.kubectl("get", "nodes")["items"]:
        assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{release['kubernetes']}"


def test_no_secret_is_left_behind(cluster: Cluster) -> None:
    """Greps what runs leave outside Kubernetes' own folders: temporary files, logs, journals, records on the controller."""
    for node in cluster.nodes:
        host = cluster.host(node)
        left = host.check_output(f"grep -raEl '{SECRET}' {PLACES} 2>/dev/null | grep -v '^/var/log/journal/' || true")
        assert left == "", f"{node} keeps a token or key in: {left}"
        lines = host.check_output(f"journalctl --no-pager --output=cat | grep -cE '{SECRET}' || true")
        assert lines == "0", f"{node}'s journal holds {lines} lines with a token or key"
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubestead/runs"
    for folder in (state, Path.home() / ".ansible/tmp"):
        left = subprocess.run(
            ["grep", "-raEl", SECRET, str(folder)], capture_output=True, text=True, check=False
        ).stdout
        assert left == "", f"the controller keeps a token or key in: {left}"
    secrets = cluster.kubectl("get", "secrets", "--namespace=kube-system", TOKENS)
    assert secrets["items"] == [], "tokens outlive the run"
