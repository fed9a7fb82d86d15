"""The failures, one at a time: each breaks one machine of the lab, and puts right what does not heal by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from kubestead import processes
from kubestead.lab import connections
from kubestead.lab.engine import Docker

from .whole import Observer

TABLE = "kubestead_test_partition"
# Seconds. systemd ends etcd and the API server at once; the latter then hangs, and systemd would wait 90 for it.
SHUTDOWN = 30


@dataclass(frozen=True)
class Machine:
    """A machine of the lab that something is done to.

    :ivar address: its own.
    :ivar peers: the addresses of all others, the virtual one among them; not that of the machine below the lab.
    """

    docker: Docker
    container: str
    address: str
    peers: tuple[str, ...]

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command there as root, through the container engine, and return what it prints."""
        options = () if stdin is None else ("--interactive",)
        return self.docker("exec", *options, self.container, *command, stdin=stdin, timeout=30)

    def hang_up(self) -> None:
        """End Ansible's open connections to the machine, which would fail its next run."""
        processes.end(connections.ssh_masters([self.address]))


def machine(observer: Observer, name: str) -> Machine:
    """The machine of that name in the inventory."""
    cluster = observer.cluster
    own = cluster.addresses[name]
    everyone = (*cluster.addresses.values(), cluster.virtual_ip)
    peers = tuple(sorted(address for address in everyone if address != own))
    return Machine(observer.docker, cluster.container(name), own, peers)


# Entered, each of these breaks something; left, it has put that right.
Breakage = Callable[[Machine], AbstractContextManager[None]]


@contextmanager
def untouched(_: Machine) -> Iterator[None]:
    """Nothing is broken."""
    yield


@contextmanager
def power_cut(broken: Machine) -> Iterator[None]:
    """The machine is off at once, and on again at the end."""
    broken.hang_up()
    try:
        broken.docker("kill", broken.container, timeout=60)
        yield
    finally:
        broken.docker("start", broken.container, timeout=60)


@contextmanager
def reboot(broken: Machine) -> Iterator[None]:
    """The machine shuts down in order, for as long as `Lab.restart_node` lets it, and is on again at the end."""
    broken.hang_up()
    try:
        broken.docker("stop", "--time", str(SHUTDOWN), broken.container, timeout=2 * SHUTDOWN)
        yield
    finally:
        broken.docker("start", broken.container, timeout=60)


@contextmanager
def killed(broken: Machine, process: str) -> Iterator[None]:
    """The processes of that name get no chance to say goodbye. That there are some, pkill sees to."""
    broken.run("pkill", "-KILL", "-x", process)
    yield


@contextmanager
def kubelet_stopped(broken: Machine) -> Iterator[None]:
    """The kubelet is stopped; the containers that it started run on."""
    try:
        broken.run("systemctl", "stop", "kubelet")
        yield
    finally:
        broken.run("systemctl", "start", "kubelet")


@contextmanager
def network_cut(broken: Machine) -> Iterator[None]:
    """The link of the machine's own address is down. Coming up, the kernel restores only the route to the link's network."""
    interface = interface_of(broken.run("ip", "-json", "-4", "address", "show"), broken.address)
    routes = added_routes(broken.run("ip", "-4", "route", "show", "dev", interface))
    try:
        broken.run("ip", "link", "set", "dev", interface, "down")
        yield
    finally:
        broken.run("ip", "link", "set", "dev", interface, "up")
        for route in routes:
            broken.run("ip", "route", "replace", *route, "dev", interface)


def interface_of(said: str, address: str) -> str:
    """The network interface that has the address, in what `ip -json address` says."""
    for link in json.loads(said):
        if any(entry["local"] == address for entry in link.get("addr_info", ())):
            return str(link["ifname"])
    raise LookupError(f"no interface has {address}")


def added_routes(said: str) -> list[list[str]]:
    """The words of each route in what `ip route` says that the kernel does not make by itself; the gateway's network first."""
    routes = [line.split() for line in said.splitlines()]
    return sorted((words for words in routes if "kernel" not in words), key=lambda words: "via" in words)


@contextmanager
def partition(broken: Machine) -> Iterator[None]:
    """Nothing passes between the machine and the others, and neither side is told; both still see the one below the lab."""
    try:
        broken.run("nft", "-f", "-", stdin=partition_rules(broken.peers))
        yield
    finally:
        # Made where it is missing, so that deleting it cannot fail.
        broken.run("nft", "-f", "-", stdin=f"add table inet {TABLE}\ndelete table inet {TABLE}\n")


def partition_rules(peers: tuple[str, ...]) -> str:
    """A table of nft's that drops what comes from these addresses or goes there."""
    others = ", ".join(peers)
    chains = "\n".join(
        f"  chain {hook} {{\n"
        f"    type filter hook {hook} priority raw; policy accept;\n"
        f"    ip saddr {{ {others} }} drop\n"
        f"    ip daddr {{ {others} }} drop\n"
        "  }"
        for hook in ("input", "forward", "output")
    )
    return f"table inet {TABLE} {{\n{chains}\n}}\n"


@dataclass(frozen=True)
class Failure:
    """One failure of one machine.

    :ivar name: short and stable, for the command line and for tests.
    :ivar title: in words, for the documentation.
    :ivar victim: names the machine that it meets: the one whose loss hurts most.
    :ivar breakage: what is done to that machine.
    :ivar hold: seconds for which the machine stays broken; None where it heals by itself at once.
    :ivar silences_kubelet: whether the kubelet of a node that it meets must report anew before the cluster is whole again.
    """

    name: str
    title: str
    victim: Callable[[Observer], str]
    breakage: Breakage
    hold: float | None = None
    silences_kubelet: bool = False


# Long enough for all that notices a failure by silence, and for the other machines to take over.
HOLD = 8.0
# A kubelet renews its lease every ten seconds; only after that its silence can be told from patience.
HOLD_KUBELET = 12.0

FAILURES = (
    Failure("nothing", "nothing, for comparison", Observer.leader, untouched),
    Failure("holder-stopped", "virtual address: its machine loses power", Observer.holder, power_cut, HOLD, True),
    Failure(
        "haproxy-killed", "virtual address: its haproxy is killed", Observer.holder, partial(killed, process="haproxy")
    ),
    Failure(
        "keepalived-killed",
        "virtual address: its keepalived is killed",
        Observer.holder,
        partial(killed, process="keepalived"),
    ),
    Failure(
        "holder-network-cut", "virtual address: its machine's network is cut", Observer.holder, network_cut, HOLD, True
    ),
    Failure("control-plane-stopped", "control plane: its machine loses power", Observer.leader, power_cut, HOLD, True),
    Failure("etcd-killed", "control plane: its etcd is killed", Observer.leader, partial(killed, process="etcd")),
    Failure(
        "api-server-killed",
        "control plane: its API server is killed",
        Observer.leader,
        partial(killed, process="kube-apiserver"),
    ),
    Failure(
        "kubelet-stopped", "control plane: its kubelet is stopped", Observer.leader, kubelet_stopped, HOLD_KUBELET, True
    ),
    Failure("node-rebooted", "control plane: its machine is rebooted", Observer.leader, reboot, 0, True),
    Failure(
        "control-plane-partitioned",
        "control plane: its machine is cut off from all others",
        Observer.leader,
        partition,
        HOLD,
        True,
    ),
)
