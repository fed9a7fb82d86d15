"""The lab on a machine of its own: namespaces in which no engine runs, so that what starts one can be tested beside a lab in use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubestead.lab import image
from kubestead.lab.engine import Docker, ensure
from kubestead.lab.machine import look

ROOT = Path(__file__).parents[2]
NAMESPACES = ("--net", "--mount", "--pid")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with an engine in them need root")


@dataclass(frozen=True)
class Machine:
    """Namespaces with their own network, mounts and processes, and folders of their own for cache and state."""

    pid: int
    home: Path

    @property
    def inventory(self) -> Path:
        return self.home / "inventory"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {
            **os.environ,
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "PATH": path,
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        enter = ["nsenter", "--target", str(self.pid), *NAMESPACES, *command]
        return subprocess.Popen(
            enter, env=self.environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *command: str, code: int = 0) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, output
        return output

    def lab(self, command: str, *options: str, code: int = 0) -> str:
        return self.run("kubestead", "lab", command, "--inventory", str(self.inventory), *options, code=code)

    def save_footprint(self) -> None:
        self.run(sys.executable, "-m", "kubestead.lab.footprint", "save", str(self.home / "before.json"))

    def left(self) -> list[str]:
        compare = [sys.executable, "-m", "kubestead.lab.footprint", "compare", str(self.home / "before.json")]
        output, _ = self.start(*compare).communicate(timeout=60)
        return [line for line in output.splitlines() if line != "nothing is left"]

    def states(self) -> list[str]:
        output, _ = self.start("kubestead", "lab", "status", "--json", "-i", str(self.inventory)).communicate(
            timeout=60
        )
        return [node["state"] for node in json.loads(output)["nodes"]]


@pytest.fixture(scope="module")
def node_image() -> Path:
    """The node image as a file; made with the engine of the real machine where the cache does not have it yet."""
    wanted = image.recipe(look())
    if not wanted.file.exists():
        docker = Docker()
        ensure(docker, print)
        image.ensure(docker, wanted, print)
    return wanted.file


@pytest.fixture
def machine(node_image: Path) -> Iterator[Machine]:
    # Not pytest's folder, which other tests' containers may be seen through: this one is deleted at once.
    home = Path("/var/tmp", f"kubestead-lab-test-{os.getpid()}")
    images = home / "cache" / "kubestead" / "lab" / "images"
    images.mkdir(parents=True)
    os.link(node_image, images / node_image.name)
    shutil.copytree(ROOT / "inventories" / "lab", home / "inventory")
    cluster = home / "inventory" / "group_vars" / "all" / "cluster.yml"
    lines = cluster.read_text().splitlines(keepends=True)
    cluster.write_text("".join(line for line in lines if not line.startswith("cluster_mirror_url")))
    folders = "mount -t tmpfs tmpfs /run && mkdir /run/lock && mount -t tmpfs tmpfs /opt"
    # The checkout may lie in the very folder that is replaced.
    folders += f" && mkdir /opt/checkout && mount --bind '{ROOT}' /opt/checkout && mount -t tmpfs tmpfs /tmp"
    folders += f" && mkdir -p '{ROOT}' && mount --bind /opt/checkout '{ROOT}'"
    setup = f"{folders} && ip link set lo up && echo ready && exec sleep 3600"
    holder = subprocess.Popen(
        ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c", setup],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    child = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
    try:
        yield Machine(int(child), home)
    finally:
        holder.kill()
        holder.wait()
        _delete(home)


def _delete(folder: Path) -> None:
    """The namespaces' processes, which end a moment after their first, may still hold files."""
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.2)
    assert not folder.exists()


def test_down_leaves_nothing_outside_the_cache(machine: Machine) -> None:
    machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward; iptables -A FORWARD -i lo -j ACCEPT")
    machine.save_footprint()
    machine.lab("up", "--no-cluster")
    present = "\n".join(machine.left())
    for kind in ("containers", "networks", "volumes", "processes", "links", "mounts", "rules", "settings", "files"):
        assert f"left: {kind}: " in present, f"the comparison does not see {kind}"
    machine.lab("down")
    assert machine.left() == []
    assert "-A FORWARD -i lo -j ACCEPT" in machine.run("iptables-save")
    assert "nothing" in machine.lab("down")


def test_up_finishes_wherever_it_was_killed(machine: Machine) -> None:
    machine.save_footprint()
    for lines in range(1, 5):
        process = machine.start("kubestead", "lab", "up", "--no-cluster", "-i", str(machine.inventory))
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        if lines % 2 == 0:
            machine.lab("down")
            assert machine.left() == []
    machine.lab("up", "--no-cluster")
    assert machine.states() == ["running"] * 3
    machine.lab("down")
    assert machine.left() == []


def test_an_engine_that_was_killed_is_started_again(machine: Machine) -> None:
    machine.save_footprint()
    machine.lab("up", "--no-cluster")
    machine.run("sh", "-c", "kill -9 $(cat /run/kubestead/dockerd.pid)")
    assert "none runs" in machine.lab("status", code=1)
    machine.lab("up", "--no-cluster")
    assert machine.states() == ["running"] * 3
    machine.run("sh", "-c", "kill -9 $(cat /run/kubestead/dockerd.pid)")
    machine.lab("down")
    assert machine.left() == []


def test_nodes_keep_what_they_are_over_a_restart(machine: Machine) -> None:
    machine.lab("up", "--no-cluster")
    write = "echo 192.0.2.7 elsewhere > /etc/hosts.new && mv /etc/hosts.new /etc/hosts && cat /etc/machine-id"
    identity = machine.run("docker", "exec", "lab-worker-1", "sh", "-c", write)
    known = (machine.home / "state/kubestead/lab/lab/known_hosts").read_text()
    machine.run("docker", "restart", "--time", "20", "lab-worker-1")
    machine.lab("up", "--no-cluster")
    assert machine.run("docker", "exec", "lab-worker-1", "cat", "/etc/machine-id") == identity
    assert machine.run("docker", "exec", "lab-worker-1", "cat", "/etc/hosts") == "192.0.2.7 elsewhere\n"
    assert (machine.home / "state/kubestead/lab/lab/known_hosts").read_text() == known
    assert "127.0.0.11" not in machine.run("docker", "exec", "lab-worker-1", "cat", "/etc/resolv.conf")


def test_a_lab_grows_without_touching_what_runs(machine: Machine) -> None:
    machine.lab("up", "--no-cluster", "--workers", "1")
    before = machine.run("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "lab-worker-1")
    machine.lab("up", "--no-cluster", "--workers", "4", "--control-planes", "2")
    assert machine.states() == ["running"] * 6
    assert machine.run("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "lab-worker-1") == before
