"""Times the playbook against a bare shell script with kubeadm, in one run and on nodes of the same making.

Prints seconds and their ratios; a ratio can be compared between machines, seconds cannot. `--growth` builds clusters of
1 to 10 workers, `--one-more` adds one to a cluster of 5 and to one of 20.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INVENTORY = HERE / "inventory"
HA_INVENTORY = HERE / "inventory-ha"
BIN = Path(sys.executable).parent


def lab(*arguments: str, inventory: Path = INVENTORY) -> None:
    """Run `kubestead lab` on an inventory, its output kept for a failure."""
    command = [str(BIN / "kubestead"), "lab", *arguments, "-i", str(inventory)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def fresh_nodes(inventory: Path = INVENTORY) -> None:
    """Nodes that nothing was installed on yet."""
    lab("down", inventory=inventory)
    lab("up", "--no-cluster", inventory=inventory)


def playbook(inventory: Path = INVENTORY, *arguments: str, name: str = "site.yml") -> str:
    """Run a playbook; its output. Raises CalledProcessError, with the output shown, where it fails."""
    command = [str(BIN / "ansible-playbook"), name, "-i", str(inventory), *arguments]
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


def said(inventory: Path) -> dict[str, Any]:
    """The inventory as Ansible reads it."""
    command = [str(BIN / "ansible-inventory"), "-i", str(inventory), "--list"]
    listed: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return listed


def bare_arguments(inventory: Path, folder: Path) -> list[str]:
    """What bare.sh wants to know: the same mirror, versions, hosts, configurations and keys that the playbook uses."""
    catalogue = yaml.safe_load((ROOT / "roles/cluster/vars/main/catalogue.yml").read_text())["__cluster_catalogue"]
    minor: str = catalogue["default"]
    packages, images = catalogue["releases"][minor]["packages"], catalogue["releases"][minor]["images"]
    listed = said(inventory)
    variables = listed["_meta"]["hostvars"]
    first = listed["control_plane"]["hosts"][0]
    rendered = folder / "rendered"
    rendered.mkdir(exist_ok=True)
    render = [
        str(BIN / "ansible-playbook"),
        str(HERE / "render.yml"),
        "-i",
        str(inventory),
        "-e",
        f"rendered={rendered}",
    ]
    subprocess.run(render, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubestead/lab/ssh/id_ed25519"
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubestead/lab"
    return [
        variables[first]["cluster_mirror_url"],
        minor,
        packages["kubeadm"],
        packages["containerd.io"],
        images["pause"],
        str(rendered),
        str(cache),
        str(state / variables[first]["cluster_name"] / "known_hosts"),
        f"{variables[first].get('cluster_virtual_ip') or variables[first]['ansible_host']}:6443",
        *(
            f"{group}/{name}={variables[name]['ansible_host']}"
            for group in ("control_plane", "workers", "load_balancers")
            for name in listed.get(group, {}).get("hosts", ())
        ),
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


def show(times: Mapping[str, float]) -> None:
    """A table of seconds, each also as a multiple of the first."""
    bare = next(iter(times.values()))
    print(f"{'what':52} {'seconds':>8} {'to bare':>8}")
    for what, took in times.items():
        print(f"{what:52} {took:8.1f} {took / bare:8.2f}", flush=True)


def against_bare(inventory: Path, what: str, folder: Path) -> dict[str, float]:
    """Seconds of the bare script, of the playbook on nodes made anew, and of the playbook again."""
    fresh_nodes(inventory)
    arguments = bare_arguments(inventory, folder)
    bare = seconds(lambda: subprocess.run([str(HERE / "bare.sh"), *arguments], check=True))
    fresh_nodes(inventory)
    first = seconds(lambda: playbook(inventory))
    second = seconds(lambda: playbook(inventory))
    return {f"bare script, {what}": bare, "site.yml, the same": first, "site.yml again, nothing to do": second}


def compare(folder: Path) -> None:
    """The playbook against the bare script, then the second run and one more worker."""
    times = against_bare(INVENTORY, "1 control plane and 2 workers", folder)
    grown = with_worker(folder, 3)
    lab("up", "--no-cluster", inventory=grown)
    show({**times, "site.yml, one more worker": seconds(lambda: playbook(grown))})
    lab("down")


def high_availability(folder: Path) -> None:
    """The same for three control planes, two workers and two load balancers."""
    show(against_bare(HA_INVENTORY, "3 control planes, 2 workers, 2 load balancers", folder))
    lab("down", inventory=HA_INVENTORY)


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


def one_more(folder: Path) -> None:
    """What one more worker costs a cluster of 5 and one of 20, the better of two tries: the nodes share this machine's cores."""
    lab("down")
    times: dict[int, float] = {}
    for number in (5, 20):
        inventory = with_worker(folder, number)
        lab("up", "--no-cluster", inventory=inventory)
        playbook(inventory, "-e", "cluster_smoke_test=false")
        grown = with_worker(folder, number + 1)
        lab("up", "--no-cluster", inventory=grown)
        tries = []
        for again in range(2):
            if again:
                playbook(grown, "-e", f"remove_nodes=worker-{number + 1}", name="playbooks/remove.yml")
            tries.append(seconds(partial(playbook, grown, name="playbooks/add.yml")))
        times[number] = min(tries)
        print(
            f"one more worker to {number:2}: {min(tries):6.1f} s, of {', '.join(f'{one:.1f}' for one in tries)}",
            flush=True,
        )
    print(f"to 20 against to 5: {times[20] / times[5]:.2f}")
    lab("down", inventory=grown)


def main() -> None:
    """Ansible and containers do the work; this only keeps the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ha", action="store_true", help="only three control planes behind two load balancers")
    parser.add_argument("--growth", action="store_true", help="only clusters of 1, 2, 5 and 10 workers")
    parser.add_argument("--one-more", action="store_true", help="only one more worker to clusters of 5 and of 20")
    options = parser.parse_args()
    parts = ((high_availability, options.ha), (growth, options.growth), (one_more, options.one_more))
    chosen = [part for part, wanted in parts if wanted]
    for part in chosen or (compare, high_availability):
        with tempfile.TemporaryDirectory() as name:
            part(Path(name))


if __name__ == "__main__":
    main()
