"""The life of a cluster as site.yml leads it. The tests build on one another, in the order in which they stand."""

from __future__ import annotations

import yaml

from .cluster import ROOT, Cluster


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
    expected = {
        image for name, image in release["images"].items() if name not in ("pause", "agnhost", "flannel-cni-plugin")
    }
    assert images >= expected
    for node in cluster.kubectl("get", "nodes")["items"]:
        assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{release['kubernetes']}"


def test_no_secret_is_left_behind(cluster: Cluster) -> None:
    """Greps what a run leaves outside /etc/kubernetes and kubelet's own folder: logs, temporary files, journals."""
    for node in cluster.nodes:
        host = cluster.host(node)
        left = host.check_output(
            "grep --recursive --binary-files=text --extended-regexp --files-with-matches"
            r" '\b[a-z0-9]{6}\.[a-z0-9]{16}\b|BEGIN [A-Z ]*PRIVATE KEY' /tmp /var/tmp /root/.ansible /var/lib/kubestead /var/log /run/kubestead* 2>/dev/null"
            " | grep -v /var/log/pods || true"
        )
        assert left == "", f"{node} keeps a token or key in: {left}"
        journal = host.check_output(r"journalctl --no-pager --output=cat | grep -cE '\b[a-z0-9]{6}\.[a-z0-9]{16}\b' || true")
            "journalctl --no-pager --output=cat | grep -cE '\\b[a-z0-9]{6}\\.[a-z0-9]{16}\\b' || true"
        )
        assert journal == "0", f"{node}'s journal holds {journal} lines with a token"
    tokens = cluster.kubectl(
        "get", "secrets", "--namespace=kube-system", "--field-selector=type=bootstrap.kubernetes.io/token"
    )
    assert tokens["items"] == [], "tokens outlive the run"
