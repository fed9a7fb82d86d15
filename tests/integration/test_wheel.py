"""The wheel, installed alone in an empty environment, builds a cluster: here one of a single node."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from .cluster import ROOT, Cluster
from .conftest import INVENTORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return python


@pytest.fixture
def single_node(tmp_path: Path) -> Cluster:
    """The first machine alone, as control plane and worker in one."""
    folder = tmp_path / "inventory"
    (folder / "group_vars/all").mkdir(parents=True)
    for file in (INVENTORY / "group_vars/all").iterdir():
        (folder / "group_vars/all" / file.name).write_text(file.read_text())
    machine = {"control-plane-1": {"ansible_host": "172.29.98.11"}}
    hosts = {
        "all": {"children": {"control_plane": {"hosts": machine}, "workers": {"hosts": {"control-plane-1": None}}}}
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    return Cluster(folder)


@pytest.mark.usefixtures("clean_nodes")
def test_the_wheel_builds_a_single_node(installed: Path, single_node: Cluster, tmp_path: Path) -> None:
    run = single_node.play("kubestead.cluster.site", python=str(installed), folder=tmp_path).raise_for_failure()
    assert set(run.recap) >= {"control-plane-1"}
    assert single_node.ready_nodes() == {"control-plane-1"}
    (node,) = single_node.kubectl("get", "nodes")["items"]
    assert "taints" not in node["spec"], "a single node takes ordinary pods"
