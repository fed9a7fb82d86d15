"""Upstream's own tests on a cluster of a control plane and two workers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster
from .conftest import INVENTORY, fresh
from .test_command import document, kubestead

pytestmark = pytest.mark.full
KINDS = (
    *("namespaces", "clusterrolebindings", "customresourcedefinitions", "apiservices"),
    *("validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
)
NAMES = ("junit_01.xml", "e2e.log", "conformance.json")


@pytest.fixture(scope="module")
def tested() -> Iterator[Cluster]:
    """A cluster whose mirror has the suite."""
    command = [str(Path(sys.executable).with_name("kubestead")), "mirror", "build", "--component", "conformance"]
    subprocess.run(command, cwd=ROOT, check=True)
    yield from fresh(INVENTORY)


def left(cluster: Cluster) -> set[str]:
    """What there is in the cluster that a suite may leave."""
    things = cluster.kubectl("get", ",".join(KINDS))["items"]
    names = {f"{thing['kind']}/{thing['metadata']['name']}" for thing in things}
    taints = cluster.kubectl("get", "nodes")["items"]
    return names | {f"{node['metadata']['name']} {node['spec'].get('taints')}" for node in taints}


def test_a_focus_that_fits_nothing_is_said_and_leaves_nothing(tested: Cluster) -> None:
    before = left(tested)
    run = kubestead(tested, "conformance", "--focus", "there is no such spec")
    assert run.returncode == 1
    assert "None of this release's conformance specs was chosen" in run.stdout
    assert left(tested) == before


def test_the_quick_specs_pass_and_leave_the_cluster_as_it_was(tested: Cluster, tmp_path: Path) -> None:
    before = left(tested)
    words = ("conformance", "--quick", "--json", "--results", str(tmp_path))
    run = kubestead(tested, *words, timeout=1500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-6000:]
    found = document(run)["data"]["conformance"]
    assert found["counts"]["passed"] == found["counts"]["total"] >= 28
    assert "specs done, 0 failed" in run.stderr, "it was shown how far it was"
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)
    assert json.loads((tmp_path / "conformance.json").read_text())["counts"] == found["counts"]
    assert left(tested) == before


def test_a_cluster_that_is_not_well_is_refused_before_anything_is_made(tested: Cluster) -> None:
    before = left(tested)
    control_plane = tested.host(tested.control_planes[0])
    kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
    control_plane.check_output(f"{kubectl} cordon worker-1 worker-2")
    try:
        run = kubestead(tested, "conformance", "--quick")
    finally:
        control_plane.check_output(f"{kubectl} uncordon worker-1 worker-2")
    assert run.returncode == 1
    assert "No node takes ordinary pods" in run.stdout
    assert {one for one in left(tested) if "/" in one} == {one for one in before if "/" in one}


def test_a_suite_that_is_stopped_is_taken_away(tested: Cluster) -> None:
    before = left(tested)
    command = [str(Path(sys.executable).with_name("kubestead")), "conformance", "-i", str(tested.inventory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "specs done" in line and " 0 of" not in line and not line.strip().startswith("0 specs"):
                process.terminate()
                break
        rest = process.stdout.read()
    assert process.returncode == 130, rest[-3000:]
    assert "Taking the conformance suite out of the cluster" in rest
    assert left(tested) == before
