"""A lab: nodes that are containers, in a Docker network of their own, as one object that commands and tests share."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubestead import paths, processes
from kubestead.lab import connections, engine, host, image, limits, machine, mirror, plan
from kubestead.lab.commands import CommandError, run
from kubestead.lab.engine import Docker, Engine
from kubestead.lab.errors import LabError
from kubestead.lab.files import lock, write_atomically
from kubestead.lab.plan import Node, Plan

if TYPE_CHECKING:
    from kubestead.mirror.progress import Reporter

LABEL = "io.kubestead.lab"
RESOLV_MARK = "# written by kubestead lab"
# Stands before the real one on the PATH of systemd's services.
RUNC = Path(__file__).parent / "nested" / "runc"
BOOT_TIMEOUT = 120
PARALLEL = 8


@dataclass(frozen=True)
class NodeStatus:
    """A node as it is now. ``state`` is Docker's (``running``, ``exited``), or ``absent``."""

    name: str
    address: str
    group: str
    state: str


@dataclass(frozen=True)
class Status:
    """A lab as it is now.

    :ivar engine: version of the engine; empty where none runs.
    :ivar engine_ours: whether the lab started it.
    :ivar mirror: ``answers``, ``silent``, or ``elsewhere`` where the inventory names another, or none.
    :ivar kubeconfig: path on this machine; empty where there is none yet.
    """

    name: str
    inventory: str
    engine: str
    engine_ours: bool
    network: str
    mirror: str
    mirror_url: str
    kubeconfig: str
    nodes: tuple[NodeStatus, ...]

    @property
    def complete(self) -> bool:
        """Whether everything that belongs to the lab is there and runs."""
        return bool(self.engine) and self.mirror != "silent" and all(node.state == "running" for node in self.nodes)


@dataclass(frozen=True)
class Wish:
    """What was asked for beside the inventory; remembered until ``down``."""

    control_planes: int | None = None
    workers: int | None = None
    kubernetes: str = ""


def _quiet(_: str) -> None:
    """Say nothing."""


class Lab:
    """The lab that an inventory describes.

    :param inventory: folder or file; by default the one that comes with Kubestead.
    :param wish: other numbers of nodes than the inventory's, or another Kubernetes; what is not said stays as it was
        at the last ``up``.
    :param resolvers: name servers for the nodes, instead of this machine's.
    :param say: receives what is being done, a few words each time.
    :raises LabError: the inventory is none that a lab can be made from.
    """

    def __init__(
        self,
        inventory: Path | None = None,
        *,
        wish: Wish | None = None,
        resolvers: Sequence[str] = (),
        say: Callable[[str], None] = _quiet,
        docker: Docker | None = None,
    ) -> None:
        self.docker = docker or Docker()
        self.say = say
        self.source = plan.read(inventory or plan.default_inventory())
        self._wish = wish or Wish()
        self._resolvers = tuple(resolvers)

    @property
    def name(self) -> str:
        """The lab's name, which is the inventory's ``cluster_name``."""
        return self.source.name

    @cached_property
    def wish(self) -> Wish:
        """What is asked for now, over what was asked for before."""
        before = _load_wish(self.source)
        return Wish(
            self._wish.control_planes if self._wish.control_planes is not None else before.control_planes,
            self._wish.workers if self._wish.workers is not None else before.workers,
            self._wish.kubernetes or before.kubernetes,
        )

    @cached_property
    def plan(self) -> Plan:
        """Nodes, addresses and the inventory that Ansible is given."""
        wish = self.wish
        return plan.derive(
            self.source, control_planes=wish.control_planes, workers=wish.workers, kubernetes=wish.kubernetes
        )

    @cached_property
    def machine(self) -> machine.Machine:
        """What this machine is, looked at once."""
        found = machine.look()
        if self._resolvers:
            found = replace(found, resolvers=machine.Resolvers(self._resolvers, (), "--resolver"))
        return found

    # Up

    def up_nodes(self) -> list[NodeStatus]:
        """Have every node of the plan running and reachable by SSH; those that run already are left alone."""
        with self._locked():
            wanted = self.plan
            write_atomically(wanted.folder / "lab.json", json.dumps(asdict(self.wish)))
            plan.write_inventory(wanted)
            running = engine.ensure(self.docker, self.say)
            _need_ssh(self.machine)
            key = _key_pair()
            tag = image.ensure(self.docker, image.recipe(self.machine), self.say)
            situation = self._situation(running, tag)
            self._network()
            with engine.guard():
                host.remember_settings()
            containers = self._containers()
            missing = [node for node in wanted.nodes if not self._usable(node, containers)]
            if missing:
                self.say(f"starting {', '.join(node.name for node in missing)}")
            # Connections that Ansible keeps open to machines that are no more would fail its next run.
            processes.end(connections.ssh_masters([node.address for node in missing]))
            arguments = limits.node_arguments(situation)
            with ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(lambda node: self._start(node, containers, arguments, key, tag), missing))
                self.say("waiting for systemd and SSH")
                host_keys = list(pool.map(self._ready, wanted.nodes))
            write_atomically(wanted.folder / "known_hosts", "".join(host_keys), mode=0o600)
            self._raise_settings(situation)
            image.remove_stale(self.docker, image.recipe(self.machine))
        return list(self.status().nodes)

    def up_mirror(self, progress: Reporter | None = None) -> str:
        """Have the mirror complete for this cluster and served to the nodes.

        :param progress: is told how the building goes.
        :return: its address; empty where the inventory names another, or none.
        """
        with self._locked():
            if self.plan.mirror_port is None:
                return ""
            mirror.serve(self.plan, self.say, progress)
            self._reach_mirror()
        return self.plan.mirror_url

    def _situation(self, running: Engine | None, tag: str) -> limits.Situation:
        return limits.Situation(
            machine=self.machine,
            engine=running,
            privileged=self._try_privileged(tag) if tag else None,
            image=tag,
            control_planes=len(self.plan.group(plan.CONTROL_PLANE)),
            workers=len(self.plan.nodes) - len(self.plan.group(plan.CONTROL_PLANE)),
        )

    def _try_privileged(self, tag: str) -> bool:
        try:
            self.docker("run", "--rm", "--privileged", "--network", "none", "--entrypoint", "/bin/true", tag)
        except CommandError:
            return False
        return True

    def _network(self) -> None:
        network = self.docker.inspect("network", self.plan.network)
        if network is not None:
            subnets = [entry["Subnet"] for entry in network["IPAM"]["Config"]]
            if str(self.plan.subnet) not in subnets:
                raise LabError(
                    f"The lab {self.name} has the network {', '.join(subnets)}, and {self.source.source} now wants "
                    f"{self.plan.subnet}. Remove it first: kubestead lab down -i {self.source.source}"
                )
            return
        clash = overlapping_route(run(["ip", "-json", "-4", "route"]), self.plan.subnet)
        if clash:
            raise LabError(
                f"{self.plan.subnet} is in use on this machine already ({clash}). Give the nodes in {self.source.source} "
                "addresses in another /24, and cluster_mirror_url the first address of it."
            )
        self.docker(
            *("network", "create", "--subnet", str(self.plan.subnet), "--gateway", self.plan.gateway),
            *("--label", f"{LABEL}={self.name}", self.plan.network),
        )

    def _containers(self) -> dict[str, dict[str, Any]]:
        """All containers of this lab, by node name."""
        names = self.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.name}").split()
        if not names:
            return {}
        found: list[dict[str, Any]] = json.loads(self.docker("container", "inspect", *names))
        return {entry["Config"]["Labels"][f"{LABEL}.node"]: entry for entry in found}

    def _usable(self, node: Node, containers: dict[str, dict[str, Any]]) -> bool:
        """Whether a node's container runs already."""
        container = containers.get(node.name)
        if container is None:
            return False
        config = container["NetworkSettings"]["Networks"].get(self.plan.network, {}).get("IPAMConfig") or {}
        address = config.get("IPv4Address", "")
        if address and address != node.address:
            raise LabError(
                f"{node.name} runs at {address}, and {self.plan.inventory} now says {node.address}. "
                f"Remove the lab first: kubestead lab down -i {self.source.source}"
            )
        return bool(container["State"]["Status"] == "running")

    def _start(
        self, node: Node, containers: dict[str, dict[str, Any]], arguments: list[str], key: str, tag: str
    ) -> None:
        name = self.plan.container(node)
        container = containers.get(node.name)
        if container is not None and container["State"]["Status"] == "exited":
            self.docker("start", name)
            return
        if container is not None:  # its creation was interrupted: there is nothing in it to keep
            self.docker("rm", "--force", "--volumes", name)
        resolvers = self.machine.resolvers
        self.docker(
            *("run", "--detach", "--name", name, "--hostname", node.name),
            *("--network", self.plan.network, "--ip", node.address),
            *("--label", f"{LABEL}={self.name}", "--label", f"{LABEL}.node={node.name}"),
            *("--env", f"KUBESTEAD_AUTHORIZED_KEY={key}"),
            *("--env", f"KUBESTEAD_RESOLVERS={' '.join(resolvers.addresses)}"),
            *("--env", f"KUBESTEAD_SEARCH={' '.join(resolvers.search)}"),
            *arguments,
            tag,
        )
        self._wrap_runc(name)

    def _wrap_runc(self, container: str) -> None:
        """Docker asks for OOM scores that such a machine refuses, and has no switch against it: have runc not ask."""
        if (
            self.plan.variables.get("cluster_container_runtime") == "docker"
            and "SYS_RESOURCE" in self.machine.missing_capabilities
        ):
            # Not `docker cp`, which mounts Docker's own resolv.conf and its like in the node once more while it boots.
            write = "cat >/usr/local/sbin/runc && chmod 0755 /usr/local/sbin/runc"
            self.docker("exec", "--interactive", container, "sh", "-c", write, stdin=RUNC.read_text())

    def _ready(self, node: Node) -> str:
        """Wait until a node has booted and answers by SSH; return its line for ``known_hosts``."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        self._wait_for_systemd(node, deadline)
        self._refresh_resolvers(node)
        _wait_for_ssh(node, deadline)
        kind, public = self.execute(node.name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
        return f"{node.name},{node.address} {kind} {public}\n"

    def _wait_for_systemd(self, node: Node, deadline: float) -> None:
        said = ""
        while time.monotonic() < deadline:
            try:
                said = self.execute(node.name, "systemctl", "is-system-running", "--wait", timeout=BOOT_TIMEOUT).strip()
            except CommandError as error:
                said = error.output
            if said == "degraded":
                failed = self.execute(node.name, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
                self.say(f"{node.name} has booted, but not all of it: {' '.join(failed.split())}")
            if said in ("running", "degraded"):
                return
            time.sleep(0.2)
        log = self.docker("logs", "--tail", "20", self.plan.container(node))
        raise LabError(f"{node.name} did not boot within {BOOT_TIMEOUT} s; systemd says: {said}\n{log}")

    def _refresh_resolvers(self, node: Node) -> None:
        """Follow this machine from one network to another, unless someone else wrote the node's file since."""
        resolvers = self.machine.resolvers
        current = self.execute(node.name, "cat", "/etc/resolv.conf")
        if not current.startswith(RESOLV_MARK) or not resolvers.addresses:
            return
        lines = [current.splitlines()[0], *(f"nameserver {address}" for address in resolvers.addresses)]
        lines += [f"search {' '.join(resolvers.search)}"] if resolvers.search else []
        wanted = "".join(f"{line}\n" for line in lines)
        if current != wanted:
            self.docker("exec", "--interactive", self.plan.container(node), "tee", "/etc/resolv.conf", stdin=wanted)

    def _raise_settings(self, situation: limits.Situation) -> None:
        """Raise what all nodes share; written in a node, so that it needs no root here."""
        handled = {finding.name for finding in limits.findings(situation) if finding.level == limits.Level.HANDLED}
        if "inotify" in handled:
            setting = f"fs.inotify.max_user_instances={limits.INOTIFY_WANTED}"
            self.execute(self.plan.nodes[0].name, "sysctl", "--quiet", "--write", setting)

    def _reach_mirror(self) -> None:
        node = self.plan.nodes[0]
        url = f"{self.plan.mirror_url.rstrip('/')}/index.json"
        try:
            self.execute(
                node.name, *("curl", "--fail", "--silent", "--show-error"), *("--max-time", "10"), "--head", url
            )
        except CommandError as error:
            raise LabError(
                f"{node.name} cannot reach the mirror at {url}, which runs on this machine. A firewall here may refuse "
                f"what comes in from {self.plan.subnet}: allow TCP port {self.plan.mirror_port} from there.\n{error.output}"
            ) from error

    # Down

    def down(self) -> list[str]:
        """Remove everything of this lab outside the cache, and the engine where we started it and no lab is left.

        :return: what was removed, a few words each.
        """
        removed: list[str] = []
        with self._locked():
            if mirror.stop(self.source.folder):
                removed.append("mirror server")
            if self._engine_for_down() is not None:
                masters = connections.ssh_masters([node.address for node in self._known_nodes()])
                if masters:
                    processes.end(masters)
                    removed.append(f"{len(masters)} SSH connections")
                removed += self._remove_containers()
                with engine.guard():
                    if not self._labs():
                        removed += self._restore_settings()
                        removed += self._stop_engine()
            if self.source.folder.exists():
                shutil.rmtree(self.source.folder)
                removed.append(str(self.source.folder))
        for folder in (paths.state_dir() / "lab", paths.state_dir()):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return removed

    def _engine_for_down(self) -> Engine | None:
        """The engine, started once more where a lab's containers may wait in it for their removal."""
        running = self.docker.engine()
        if running is None and (self.source.folder.exists() or engine.RUN.exists()) and os.geteuid() == 0:
            return engine.ensure(self.docker, self.say)
        return running

    def _known_nodes(self) -> list[Node]:
        recorded = self.source.folder / "inventory"
        return [*self.source.nodes, *(plan.read(recorded).nodes if recorded.exists() else [])]

    def _remove_containers(self) -> list[str]:
        removed = []
        ids = self.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.name}").split()
        if ids:
            self.docker("rm", "--force", "--volumes", *ids)
            removed.append(f"{len(ids)} nodes")
        networks = self.docker("network", "ls", "--quiet", "--filter", f"label={LABEL}={self.name}").split()
        if networks:
            self.docker("network", "rm", *networks)
            removed.append(f"network {self.source.network}")
        return removed

    def _labs(self) -> set[str]:
        """Labs that have containers."""
        shown = self.docker("ps", "--all", "--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}')
        return set(shown.split())

    def _restore_settings(self) -> list[str]:
        settings = host.settings_to_restore()
        if settings and os.geteuid() == 0:
            host.write_settings(settings)
        elif settings:
            tag = image.recipe(self.machine).tag
            rights = limits.node_arguments(self._situation(self.docker.engine(), tag))
            pairs = [f"{name}={value}" for name, value in settings.items()]
            self.docker("run", "--rm", *rights, "--entrypoint", "sysctl", tag, "--write", *pairs)
        host.forget_settings()
        return [f"kernel setting {name}, back to {value}" for name, value in settings.items()]

    def _stop_engine(self) -> list[str]:
        if engine.our_process() is None:
            return []
        others = self.docker("ps", "--all", "--quiet").split()
        if others:
            self.say(f"the engine stays: it has {len(others)} containers that belong to no lab")
            return []
        engine.stop()
        return ["Docker engine"]

    # Looking, and working with nodes

    def status(self) -> Status:
        """Look at the lab without changing it."""
        running = self.docker.engine()
        containers = self._containers() if running else {}
        nodes = [
            NodeStatus(
                node.name,
                node.address,
                self.plan.place(node),
                containers[node.name]["State"]["Status"] if node.name in containers else "absent",
            )
            for node in self.plan.nodes
        ]
        kubeconfig = self.plan.folder / "kubeconfig"
        return Status(
            name=self.name,
            inventory=str(self.plan.inventory),
            engine=running.version if running else "",
            engine_ours=bool(running and running.ours),
            network=f"{self.plan.network}, {self.plan.subnet}",
            mirror=mirror.state(self.plan),
            mirror_url=self.plan.mirror_url,
            kubeconfig=str(kubeconfig) if kubeconfig.exists() else "",
            nodes=tuple(nodes),
        )

    def doctor(self) -> list[limits.Finding]:
        """All that was found out about this machine, and what the lab makes of it."""
        running = self.docker.engine() if self.machine.tools["docker"] else None
        tag = image.recipe(self.machine).tag
        built = running is not None and self.docker.inspect("image", tag) is not None
        return limits.findings(self._situation(running, tag if built else ""))

    def execute(self, node: str, *command: str, timeout: float = 300) -> str:
        """Run a command in a node's container and return its standard output.

        :raises CommandError: it ended with another code than 0.
        """
        return self.docker("exec", f"{self.name}-{node}", *command, timeout=timeout)

    def restart_node(self, node: str) -> None:
        """Reboot a node, and wait until it answers again."""
        restarted = next(entry for entry in self.plan.nodes if entry.name == node)
        processes.end(connections.ssh_masters([restarted.address]))
        self.docker("restart", "--time", "30", self.plan.container(restarted))
        self._ready(restarted)

    def remove_nodes(self, *names: str) -> None:
        """Take nodes away (all, where none is named) as a failing machine would: at once, with their disks.

        The next :meth:`up_nodes` boots new ones in their place.
        """
        containers = self._containers()
        gone = [containers[name]["Id"] for name in names or containers]
        if gone:
            self.docker("rm", "--force", "--volumes", *gone)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        file = paths.cache_dir() / "lab" / "locks" / f"{self.name}.lock"
        with lock(file, busy=f"Another `kubestead lab` command is at work on the lab {self.name}; wait for it."):
            yield


def overlapping_route(said: str, subnet: IPv4Network) -> str:
    """The route of this machine that a lab's network would take over, as ``ip -json route`` says it; empty: none."""
    for route in json.loads(said):
        if route.get("dst", "default") == "default":
            continue
        if IPv4Network(route["dst"], strict=False).overlaps(subnet):
            return f"{route['dst']} on {route.get('dev', 'no device')}"
    return ""


def _load_wish(source: Plan) -> Wish:
    try:
        return Wish(**json.loads((source.folder / "lab.json").read_text()))
    except FileNotFoundError:
        return Wish()


def _wait_for_ssh(node: Node, deadline: float) -> None:
    reason: object = "no answer"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((node.address, 22), timeout=2) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError as error:
            reason = error
        time.sleep(0.1)
    raise LabError(
        f"{node.name} has booted, but {node.address} does not answer by SSH ({reason}). "
        "Is this machine's Docker engine in a virtual machine, or is there a firewall between?"
    )


def _need_ssh(found: machine.Machine) -> None:
    if found.tools["ssh"] and found.tools["ssh-keygen"]:
        return
    if not (found.root and found.distribution == "debian"):
        raise LabError(
            "Ansible reaches nodes by SSH, and OpenSSH's client is not installed here. Install it, then try again."
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], environment=quiet)
    run(["apt-get", "install", "--yes", "--no-install-recommends", "openssh-client"], environment=quiet)


def _key_pair() -> str:
    """The public half of the key that opens the nodes, made on first use."""
    folder = paths.cache_dir() / "lab" / "ssh"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    private, public = folder / "id_ed25519", folder / "id_ed25519.pub"
    with lock(folder / ".lock"):
        if not (private.exists() and public.exists()):
            for leftover in (private, public):
                leftover.unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubestead-lab", "-f", str(private)])
    return public.read_text().strip()
