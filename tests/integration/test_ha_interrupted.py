"""Three machines that are control planes, load balancers and workers at once, built against all odds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from kubestead.lab.engine import Docker

from .cluster import Cluster
from .conftest import TOGETHER_INVENTORY, lab
from .failures.whole import Observer
from .test_command import document, kubestead

# A whole cluster of their own; test_interrupted kills runs on fewer nodes each time.
pytestmark = pytest.mark.full
# Seconds: the member of etcd is a learner, or about to become a voter.
INTO_THE_JOIN = 5.0
SECOND, THIRD = "control-plane-2", "control-plane-3"


@pytest.fixture
def squatter(together: Cluster) -> Iterator[None]:
    """A machine that is none of the inventory's has the virtual address."""
    docker = Docker()
    image = docker("container", "inspect", "--format", "{{.Image}}", together.container(SECOND)).strip()
    name = f"{together.name}-squatter"
    network = ("--network", f"kubestead-{together.name}", "--ip", together.virtual_ip)
    docker("run", "--detach", "--name", name, *network, "--entrypoint", "sleep", image, "600")
    yield
    docker("rm", "--force", name)


@pytest.mark.usefixtures("squatter")
def test_a_taken_address_is_refused_before_any_change(together: Cluster) -> None:
    run = together.play("site.yml")
    assert run.code != 0
    assert run.changed == {}
    assert "virtual-ip-in-use" in run.output
    assert together.virtual_ip in run.output


def test_a_plan_tells_what_each_machine_will_become(together: Cluster) -> None:
    run = kubestead(together, "plan", "--json")
    assert run.returncode == 2, run.stderr
    plan = document(run)["plan"]
    assert "becomes the first control plane" in plan[together.control_planes[0]]
    assert all("writes /etc/keepalived/keepalived.conf" in " ".join(plan[node]) for node in together.control_planes)


def test_interrupted_joins_are_finished_by_the_same_command(together: Cluster) -> None:
    with joining(together, SECOND) as run:
        kill(run)
        together.host(SECOND).run("pkill -KILL -x kubeadm")
    with joining(together, SECOND) as run:
        kill(run)
        Docker()("restart", "--time", "0", together.container(SECOND))
    lab("up", "--no-cluster", inventory=TOGETHER_INVENTORY)
    # kubeadm goes on alone on the third, and the next run meets it at work.
    with joining(together, THIRD) as run:
        kill(run)
    together.play("site.yml").raise_for_failure()
    observer = Observer(together)
    together.wait_until_none(observer.defects)
    assert together.play("site.yml").raise_for_failure().changed == {}
    digests = {together.host(node).file("/etc/kubernetes/pki/ca.crt").sha256sum for node in together.control_planes}
    assert len(digests) == 1
    secrets = together.kubectl("get", "secrets", "-n", "kube-system")["items"]
    assert "kubeadm-certs" not in {item["metadata"]["name"] for item in secrets}
    taints = [node["spec"].get("taints", []) for node in together.kubectl("get", "nodes")["items"]]
    assert taints == [[], [], []], "without workers, pods run on the control planes"


@contextmanager
def joining(cluster: Cluster, host: str) -> Iterator[subprocess.Popen[str]]:
    """A run of site.yml, given some seconds after kubeadm began the join of this host. Leaving, nothing of it runs any more."""
    run = cluster.start("site.yml")
    drain = Thread(target=run.stdout.read if run.stdout else None, daemon=True)
    drain.start()
    try:
        cluster.wait_for(lambda: cluster.host(host).run("pgrep -f '^[^ ]*kubeadm join'").rc == 0, timeout=240)
        time.sleep(INTO_THE_JOIN)
        assert run.poll() is None, "the run was over before it could be disturbed"
        yield run
    finally:
        kill(run)
        drain.join()


def kill(run: subprocess.Popen[str]) -> None:
    """End the controller's processes as a power cut would."""
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(timeout=60)
