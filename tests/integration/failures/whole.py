"""What can be seen of a highly available cluster from outside, also while a part of it is down, and what it lacks to be whole."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from kubestead.lab.commands import CommandError
from kubestead.lab.engine import Docker

from ..cluster import Cluster
from .connection import ATTEMPT, Connection, Credentials, NoAnswerError, insist, read_kubeconfig

ETCD_PORT = 2379
SERVICES = ("haproxy", "keepalived")
STEADY = 3.0
"""Seconds for which nothing may be missing before a cluster counts as whole: what heals may yet break once more."""
INTERVAL = 0.5
"""Seconds between two looks at the cluster."""
# Three parts, each of which may fail alone: addresses, services, servers.
LOOK = f"""
ip -json -4 address show
echo ---
systemctl is-active {" ".join(SERVICES)}
echo ---
echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock
true
"""


@dataclass(frozen=True)
class Balancer:
    """A load balancer as it is now.

    :ivar addresses: the IPv4 addresses that it has.
    :ivar services: for each service what systemd says of it.
    :ivar servers: for each server of haproxy its state.
    """

    addresses: frozenset[str]
    services: Mapping[str, str]
    servers: Mapping[str, str]


def read_balancer(said: str) -> Balancer:
    """A load balancer from what `LOOK` printed there."""
    links, services, statistics = said.split("---\n")
    return Balancer(
        frozenset(entry["local"] for link in json.loads(links) for entry in link.get("addr_info", ())),
        dict(zip(SERVICES, services.split(), strict=False)),
        read_servers(statistics),
    )


def read_servers(statistics: str) -> dict[str, str]:
    """For each server the state that haproxy's `show stat` tells."""
    rows = csv.DictReader(statistics.removeprefix("# ").strip().splitlines())
    return {row["svname"]: row["status"] for row in rows if row["type"] == "2"}


def balancer_defects(name: str, balancer: Balancer | None, control_planes: Iterable[str]) -> list[str]:
    """What a load balancer lacks; None is one that cannot be looked at."""
    if balancer is None:
        return [f"{name} cannot be looked at"]
    dead = [service for service in SERVICES if balancer.services.get(service) != "active"]
    down = [server for server in control_planes if balancer.servers.get(server) != "UP"]
    return [
        *(f"{service} on {name} is {balancer.services.get(service, 'unknown')}" for service in dead),
        *(f"haproxy on {name} has {server} {balancer.servers.get(server, 'not at all')}" for server in down),
    ]


def member_defects(answer: Mapping[str, Any], expected: int) -> list[str]:
    """What etcd's list of members lacks: so many voting members, and no other."""
    learners = [member for member in answer.get("members", ()) if member.get("isLearner")]
    voters = [member for member in answer.get("members", ()) if member.get("name") and not member.get("isLearner")]
    missing = [] if len(voters) == expected else [f"etcd has {len(voters)} voting members of {expected}"]
    return [*missing, *(f"etcd's member {member.get('name') or member['ID']} is a learner" for member in learners)]


def node_defects(
    nodes: Mapping[str, Any], leases: Mapping[str, Any], expected: Iterable[str], since: Mapping[str, float]
) -> list[str]:
    """Which nodes are not Ready, or were not heard of since a moment (seconds of the epoch) that is told for them.

    The API server takes a node for Ready until 40 seconds after its kubelet's last word.
    """
    ready = {
        node["metadata"]["name"]
        for node in nodes["items"]
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready" and condition["status"] == "True"
    }
    heard = {lease["metadata"]["name"]: lease["spec"]["renewTime"] for lease in leases["items"]}
    silent = [
        node
        for node, moment in since.items()
        if node not in heard or datetime.fromisoformat(heard[node]).timestamp() <= moment
    ]
    return [
        *(f"node {node} is not Ready" for node in expected if node not in ready),
        *(f"the kubelet of {node} has not reported again" for node in silent),
    ]


def upstream(version: str) -> str:
    """The version of what is in a Debian package, without what Debian adds: the epoch and the revision."""
    return version.rpartition(":")[2].rpartition("-")[0]


@dataclass(frozen=True)
class Steady:
    """How long a cluster took to become whole.

    :ivar seconds: from the beginning of the wait to the first of the looks that found nothing missing from then on; None
        where time ran out.
    :ivar missing: what the last look found missing.
    """

    seconds: float | None
    missing: tuple[str, ...]


def wait_until_steady(
    look: Callable[[], Sequence[str]],
    *,
    least: float,
    within: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Steady:
    """Look until nothing has been missing for a while.

    :param look: tells what is missing.
    :param least: seconds for which to look at least, since a failure may show late.
    :param within: seconds after which to give up.
    """
    begun = clock()
    since: float | None = None
    while True:
        missing = tuple(look())
        now = clock()
        if missing:
            since = None
        elif since is None:
            since = now
        if since is not None and now - since >= STEADY and now - begun >= least:
            return Steady(since - begun, ())
        if now - begun >= within:
            return Steady(None, missing or ("steadiness",))
        sleep(INTERVAL)


class Observer:
    """Looks at a cluster through its virtual address, at each machine's own address, and through the container engine."""

    def __init__(self, cluster: Cluster, docker: Docker | None = None) -> None:
        self.cluster = cluster
        self.docker = docker or Docker()
        self.url, credentials = read_kubeconfig(self._file("/etc/kubernetes/admin.conf"))
        self._api = credentials.context()
        names = ("ca.crt", "healthcheck-client.crt", "healthcheck-client.key")
        self._etcd = Credentials(*(self._file(f"/etc/kubernetes/pki/etcd/{name}") for name in names)).context()

    def _file(self, path: str) -> str:
        return self.execute(self.cluster.control_planes[0], "cat", path)

    def execute(self, host: str, *command: str) -> str:
        """Run a command on a host of the lab, through the container engine, and return what it prints."""
        return self.docker("exec", self.cluster.container(host), *command, timeout=20)

    def endpoint(self, seconds: float = ATTEMPT) -> Connection:
        """A connection to the address that the cluster's clients use."""
        return Connection.to(self.url, self._api, seconds)

    def api_server(self, host: str, seconds: float = ATTEMPT) -> Connection:
        """A connection to the API server of one control plane, past the load balancers."""
        return Connection(self.cluster.addresses[host], self.cluster.api_port, self._api, seconds)

    def etcd(self, host: str) -> Connection:
        """A connection to the member of etcd on one control plane."""
        return Connection(self.cluster.addresses[host], ETCD_PORT, self._etcd, 2 * ATTEMPT)

    def holder(self) -> str:
        """The load balancer that has the virtual address.

        :raises LookupError: there is not exactly one.
        """
        holders = self._holders({name: self._balancer(name) for name in self.cluster.load_balancers})
        if len(holders) != 1:
            raise LookupError(f"the virtual address is on {holders}")
        return holders[0]

    def leader(self) -> str:
        """The control plane whose member leads etcd.

        :raises LookupError: none says that it does.
        """
        for host in self.cluster.control_planes:
            said = insist(lambda: self.etcd(host), "POST", "/v3/maintenance/status", {}).json()  # noqa: B023 - called at once
            if said["leader"] == said["header"]["member_id"]:
                return host
        raise LookupError("no member of etcd says that it leads")

    @cached_property
    def versions(self) -> dict[str, str]:
        """For each part that a failure meets, its version."""
        status = insist(lambda: self.etcd(self.cluster.control_planes[0]), "POST", "/v3/maintenance/status", {})
        balancer = self.cluster.load_balancers[0]
        packages = [
            upstream(self.execute(balancer, "dpkg-query", "--show", "--showformat=${Version}", name))
            for name in SERVICES
        ]
        return {
            "Kubernetes": insist(self.endpoint, "GET", "/version").json()["gitVersion"].removeprefix("v"),
            "etcd": status.json()["version"],
            **dict(zip(SERVICES, packages, strict=True)),
        }

    def defects(self, since: Mapping[str, float] | None = None) -> list[str]:
        """What the cluster lacks to be whole.

        :param since: for nodes whose kubelet was down, the moment (seconds of the epoch) after which it must have reported.
        """
        checks: list[Callable[[], list[str]]] = [
            partial(self._nodes, since or {}),
            self._load_balancers,
            self._members,
            *(partial(self._health, host) for host in self.cluster.control_planes),
        ]
        with ThreadPoolExecutor(len(checks)) as pool:
            return [defect for found in pool.map(lambda check: check(), checks) for defect in found]

    def _nodes(self, since: Mapping[str, float]) -> list[str]:
        try:
            with closing(self.endpoint(2 * ATTEMPT)) as connection:
                nodes = connection.ask("GET", "/api/v1/nodes")
                leases = connection.ask("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
        except NoAnswerError as error:
            return [f"the virtual address does not answer: {error}"]
        if (nodes.status, leases.status) != (200, 200):
            return [f"the virtual address answers with {nodes.status} and {leases.status}"]
        return node_defects(nodes.json(), leases.json(), self.cluster.nodes, since)

    def _health(self, host: str) -> list[str]:
        """What an API server and the etcd beside it lack; the latter's health takes a read that needs the majority."""
        found = []
        for what, connection, path in (
            ("API server", self.api_server(host, 2 * ATTEMPT), "/readyz"),
            ("etcd", self.etcd(host), "/health"),
        ):
            try:
                with closing(connection):
                    status = connection.ask("GET", path).status
                if status != 200:
                    found.append(f"{what} on {host} answers with {status}")
            except NoAnswerError as error:
                found.append(f"{what} on {host} does not answer: {error}")
        return found

    def _members(self) -> list[str]:
        reasons = []
        for host in self.cluster.control_planes:
            try:
                with closing(self.etcd(host)) as connection:
                    answer = connection.ask("POST", "/v3/cluster/member/list", {})
                if answer.status == 200:
                    return member_defects(answer.json(), len(self.cluster.control_planes))
                reasons.append(f"status {answer.status}")
            except NoAnswerError as error:
                reasons.append(str(error))
        return [f"no member of etcd lists the others: {', '.join(reasons)}"]

    def _load_balancers(self) -> list[str]:
        names = self.cluster.load_balancers
        with ThreadPoolExecutor(len(names)) as pool:
            looks = dict(zip(names, pool.map(self._balancer, names), strict=True))
        holders = self._holders(looks)
        return [
            *(
                defect
                for name, balancer in looks.items()
                for defect in balancer_defects(name, balancer, self.cluster.control_planes)
            ),
            *(
                []
                if len(holders) == 1
                else [f"the virtual address is on {' and '.join(holders) or 'no load balancer'}"]
            ),
        ]

    def _balancer(self, name: str) -> Balancer | None:
        try:
            return read_balancer(self.execute(name, "sh", "-c", LOOK))
        except (CommandError, ValueError, KeyError):
            return None  # it is off, or just going

    def _holders(self, looks: Mapping[str, Balancer | None]) -> list[str]:
        return [name for name, look in looks.items() if look and self.cluster.virtual_ip in look.addresses]
