"""The cluster under test: its nodes, its playbooks, and what can be seen of it from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import testinfra
import yaml

ROOT = Path(__file__).parents[2]
# Selects the Secrets that hold bootstrap tokens.
TOKENS = "--field-selector=type=bootstrap.kubernetes.io/token"
RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)"
)
FAILED = re.compile(r"^(?:fatal|failed|ERROR|\[ERROR\])\b.*", re.MULTILINE)


@dataclass
class Run:
    """One ansible-playbook process that has ended."""

    code: int
    output: str
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, int]:
        """Number of changed tasks for each host that changed at all."""
        return {host: counts["changed"] for host, counts in self.recap.items() if counts["changed"]}

    def raise_for_failure(self) -> Run:
        """The run itself; fails the test with what went wrong first where it did not succeed."""
        assert self.code == 0, f"ansible-playbook ended with {self.code}:\n{self.trouble}"
        return self

    @property
    def trouble(self) -> str:
        """What the output says of the first failure, and the end of it."""
        first = FAILED.search(self.output)
        return (self.output[first.start() : first.start() + 3000] + "\n...\n" if first else "") + self.output[-1500:]


def members(groups: Mapping[str, Any], name: str) -> list[str]:
    """The hosts of a group of the inventory and of the groups in it, each once."""
    group = groups.get(name) or {}
    inherited = [host for child in group.get("children") or () for host in members(groups, child)]
    return list(dict.fromkeys([*(group.get("hosts") or ()), *inherited]))


class Cluster:
    """The cluster that an inventory describes, on the lab's containers."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        everything = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]
        groups = everything["children"]
        variables = yaml.safe_load((inventory / "group_vars/all/cluster.yml").read_text())
        self.name: str = variables["cluster_name"]
        self.virtual_ip: str = variables.get("cluster_virtual_ip", "")
        self.api_port: int = variables.get("cluster_api_port", 6443)
        self.control_planes = members(groups, "control_plane")
        self.load_balancers = members(groups, "load_balancers")
        self.nodes = list(dict.fromkeys([*self.control_planes, *members(groups, "workers")]))
        self.addresses: dict[str, str] = {
            host: entry["ansible_host"]
            for group in (everything, *groups.values())
            for host, entry in (group.get("hosts") or {}).items()
            if entry and "ansible_host" in entry
        }

    def start(
        self, playbook: str, *arguments: str, python: str = sys.executable, folder: Path = ROOT
    ) -> subprocess.Popen[str]:
        """An ansible-playbook process in a process group of its own, its output readable line by line."""
        ansible = Path(python).with_name("ansible-playbook")
        return subprocess.Popen(
            [str(ansible), playbook, "-i", str(self.inventory), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            # With skipped hosts hidden, a task's heading would come with its first result only.
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"},
        )

    def play(self, playbook: str, *arguments: str, python: str = sys.executable, folder: Path = ROOT) -> Run:
        """Run a playbook to its end."""
        process = self.start(playbook, *arguments, python=python, folder=folder)
        output, _ = process.communicate(timeout=900)
        recap = {
            match["host"]: {key: int(match[key]) for key in ("ok", "changed", "unreachable", "failed")}
            for match in map(RECAP.match, output.splitlines())
            if match
        }
        return Run(process.returncode, output, recap)

    def play_and_kill(self, playbook: str, mark: str, after: float, kubeadm: bool) -> bool:
        """Kill the controller's processes `after` seconds from the line that holds the mark.

        On request kubeadm dies too, as in a power cut; then the seconds count from its start. False where the line never came.
        """
        process = self.start(playbook)
        assert process.stdout is not None
        seen = any(mark in line for line in process.stdout)
        if seen and kubeadm:
            self.wait_for(lambda: any(self.host(node).run("pgrep -x kubeadm").rc == 0 for node in self.nodes))
        if seen:
            time.sleep(after)
            os.killpg(process.pid, signal.SIGKILL)
            for node in self.nodes if kubeadm else ():
                self.host(node).run("pkill -KILL -x kubeadm")
        process.stdout.close()
        process.wait(timeout=60)
        return seen

    def wait_for(self, condition: Callable[[], bool], timeout: float = 90) -> None:
        """Wait until the condition holds; fails the test where it does not within the timeout."""
        self.wait_until_none(lambda: () if condition() else ("the condition does not hold",), timeout)

    def wait_until_none(self, missing: Callable[[], Sequence[str]], timeout: float = 90) -> None:
        """Wait until nothing is missing; fails the test with what still is after the timeout."""
        deadline = time.monotonic() + timeout
        while found := missing():
            assert time.monotonic() < deadline, f"waited in vain: {'; '.join(found)}"
            time.sleep(0.2)

    def container(self, host: str) -> str:
        """Name of the container that is this host."""
        return f"{self.name}-{host}"

    def host(self, node: str) -> Any:
        """The node seen through the container engine, without Ansible."""
        return testinfra.get_host(f"docker://{self.container(node)}")

    def kubectl(self, *arguments: str) -> Any:
        """What kubectl on a control plane answers, as JSON."""
        command = " ".join(["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments, "--output=json"])
        return json.loads(self.host(self.control_planes[0]).check_output(command))

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready."""
        nodes = self.kubectl("get", "nodes")["items"]
        return {
            node["metadata"]["name"]
            for node in nodes
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        }

    def started(self, nodes: Iterable[str], units: Sequence[str] = ("containerd", "kubelet", "ssh")) -> dict[str, str]:
        """For each node, when its services and its containers were started."""
        seen = {}
        for node in nodes:
            host = self.host(node)
            services = host.check_output(
                f"systemctl show --property=Id,ActiveEnterTimestampMonotonic {' '.join(units)}"
            )
            containers = json.loads(host.check_output("crictl ps --output json"))["containers"]
            seen[node] = services + "\n".join(
                sorted(f"{item['metadata']['name']} {item['createdAt']}" for item in containers)
            )
        return seen
