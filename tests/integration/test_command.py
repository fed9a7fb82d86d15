"""The command's own verbs, on the cluster that the tests before have built."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .cluster import ROOT, Cluster


def kubestead(cluster: Cluster, *words: str, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    """The outcome of a verb, its output kept."""
    command = [str(Path(sys.executable).with_name("kubestead")), *words, "-i", str(cluster.inventory)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=timeout)


def document(run: subprocess.CompletedProcess[str]) -> Any:
    """What a verb told as JSON."""
    return json.loads(run.stdout)


def test_a_plan_of_a_built_cluster_has_nothing_in_it(cluster: Cluster) -> None:
    run = kubestead(cluster, "plan", "--json")
    assert run.returncode == 0, run.stderr
    said = document(run)
    assert said["changes"] is False
    assert {host: phrases for host, phrases in said["plan"].items() if phrases} == {}


def test_the_status_of_a_working_cluster_is_good(cluster: Cluster) -> None:
    run = kubestead(cluster, "status", "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    for node in cluster.nodes:
        assert node in run.stdout


def test_a_node_that_the_inventory_does_not_know_is_amiss(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    shutil.copytree(cluster.inventory, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    stranger = cluster.nodes[-1]
    del hosts["all"]["children"]["workers"]["hosts"][stranger]
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    run = kubestead(Cluster(folder), "status")
    assert run.returncode == 1
    assert f"- {stranger} is in the cluster, and not in the inventory" in run.stdout


@pytest.mark.parametrize(
    ("file", "variable", "reason"),
    [
        ("group_vars/all/more.yml", "cluster_pod_cdir: 10.1.0.0/16", "phase validate"),
        ("host_vars/worker-1.yml", "cluster_node_address: 172.29.98.99", "phase preflight"),
    ],
)
def test_a_rebuild_that_would_not_succeed_leaves_the_old_cluster_alone(
    cluster: Cluster, tmp_path: Path, file: str, variable: str, reason: str
) -> None:
    folder = tmp_path / "inventory"
    shutil.copytree(cluster.inventory, folder)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(f"{variable}\n")
    before = cluster.started(cluster.nodes)
    run = kubestead(Cluster(folder), "rebuild", "--yes", "--json")
    assert run.returncode == 1
    said = document(run)
    assert reason in said["reason"]
    assert said["reason"].endswith("The old cluster was not touched.")
    assert Path(said["report"]["html"]).is_file()
    assert cluster.started(cluster.nodes) == before


def test_the_kubeconfig_leads_to_the_cluster(cluster: Cluster) -> None:
    run = kubestead(cluster, "kubeconfig")
    assert run.returncode == 0, run.stderr
    (entry,) = yaml.safe_load(run.stdout)["clusters"]
    assert entry["cluster"]["server"] == f"https://{cluster.addresses[cluster.control_planes[0]]}:6443"
