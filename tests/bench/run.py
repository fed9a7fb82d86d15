"""Times the playbook against a bare shell script with kubeadm, in one run and on nodes of the same making.

Prints seconds and their ratios; a ratio can be compared between machines, seconds cannot. `--growth` also builds
clusters of 1 to 10 workers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INVENTORY = HERE / "inventory"
BIN = Path(sys.executable).parent


def lab(*arguments: str, inventory: Path = INVENTORY) -> None:
    """Run `kubestead lab` on an inventory, its output kept for a failure."""
    command = [str(BIN / "kubestead"), "lab", *arguments, "-i", str(inventory)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def fresh_nodes(inventory: Path = INVENTORY) -> None:
    """Nodes that nothing was installed on yet."""
    lab("down", inventory=inventory)
    lab("up", "--no-cluster", inventory=inventory)


def playbook(inventory: Path = INVENTORY, *arguments: str) -> str:
    """Run site.yml; its output. Raises CalledProcessError, with the output shown, where it fails."""
    command = [str(BIN / "ansible-playbook"), "site.yml", "-i", str(inventory), *arguments]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if run.returncode:
        print(run.stdout[-5000:])
        run.check_returncode()
    return run.stdout


def seconds(action: Callable[[], object]) -> float:
    """How long the action took."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def bare_arguments(folder: Path) -> list[str]:
    """What bare.sh wants to know: the same mirror, versions, nodes and keys that the playbook uses."""
    catalogue = yaml.safe_load((ROOT / "roles/cluster/vars/main/catalogue.yml").read_text())["__cluster_catalogue"]
    minor: str = catalogue["default"]
    release = catalogue["releases"][minor]
    hosts: dict[str, Any] = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]
    variables = yaml.safe_load((INVENTORY / "group_vars/all/cluster.yml").read_text())
    manifest = folder / "flannel.yml"
    render = [
        str(BIN / "ansible-playbook"),
        str(HERE / "flannel.yml"),
        "-i",
        str(INVENTORY),
        "-e",
        f"manifest={manifest}",
    ]
    subprocess.run(render, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubestead/lab/ssh/id_ed25519"
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubestead/lab/bench/known_hosts"
    nodes = [
        f"{name}={host['ansible_host']}"
        for group in ("control_plane", "workers")
        for name, host in hosts[group]["hosts"].items()
    ]
    packages, images = release["packages"], release["images"]
    return [
        variables["cluster_mirror_url"],
        minor,
        packages["kubeadm"],
        packages["containerd.io"],
        images["pause"],
        str(manifest),
        str(cache),
        str(state),
        *nodes,
    ]


def with_worker(folder: Path, number: int) -> Path:
    """A copy of the inventory with workers up to the given number."""
    inventory = folder / f"with-{number}-workers"
    shutil.copytree(INVENTORY, inventory)
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())
    hosts["all"]["children"]["workers"]["hosts"] = {
        f"worker-{index}": {"ansible_host": f"172.29.99.{20 + index}"} for index in range(1, number + 1)
    }
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    return inventory


def compare(folder: Path) -> None:
    """The playbook against the bare script, then the second run and one more worker."""
    fresh_nodes()
    arguments = bare_arguments(folder)
    bare = seconds(lambda: subprocess.run([str(HERE / "bare.sh"), *arguments], check=True))
    fresh_nodes()
    first = seconds(playbook)
    second = seconds(playbook)
    grown = with_worker(folder, 3)
    lab("up", "--no-cluster", inventory=grown)
    further = seconds(lambda: playbook(grown))
    print(f"{'what':42} {'seconds':>8} {'to bare':>8}")
    for what, took in (
        ("bare script, 1 control plane and 2 workers", bare),
        ("site.yml, the same", first),
        ("site.yml again, nothing to do", second),
        ("site.yml, one more worker", further),
    ):
        print(f"{what:42} {took:8.1f} {took / bare:8.2f}")
    lab("down")


def growth(folder: Path) -> None:
    """Whole clusters of 1 to 10 workers, and what each further worker costs."""
    before: tuple[int, float] | None = None
    for number in (1, 2, 5, 10):
        inventory = with_worker(folder, number)
        fresh_nodes(inventory)
        took = seconds(partial(playbook, inventory))
        cost = f", {(took - before[1]) / (number - before[0]):.1f} s for each further one" if before else ""
        print(f"site.yml, {number:2} workers: {took:6.1f} s{cost}")
        before = number, took
        lab("down", inventory=inventory)


def main() -> None:
    """Ansible and containers do the work; this only keeps the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth", action="store_true", help="also build clusters of 1, 2, 5 and 10 workers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name))
        if options.growth:
            growth(Path(name))


if __name__ == "__main__":
    main()
