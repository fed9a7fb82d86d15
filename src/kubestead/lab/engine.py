"""The Docker engine: found running, or installed and started by us; what we started we stop, and nothing else.

A ``docker`` on the PATH may be a bare client, so only an engine's answer counts. An engine of ours keeps its data in the
cache, so that node images outlive it, and everything else under ``/run/kubestead``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestead import paths, processes
from kubestead.lab import host
from kubestead.lab.commands import CommandError, run
from kubestead.lab.errors import LabError
from kubestead.lab.files import lock

RUN = Path("/run/kubestead")
SOCKET = Path("/var/run/docker.sock")
START_TIMEOUT = 60
STOP_TIMEOUT = 60


@dataclass(frozen=True)
class Engine:
    """A running Docker engine, as it describes itself."""

    version: str
    name: str
    system: str
    storage_driver: str
    cgroup_version: int
    data_root: str
    rootless: bool
    ours: bool


class Docker:
    """Calls the ``docker`` client.

    :param binary: its name or path.
    """

    def __init__(self, binary: str = "docker") -> None:
        self.binary = binary

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 900) -> str:
        """Run ``docker`` with these arguments and return what it prints.

        :raises CommandError: it failed.
        """
        return run([self.binary, *arguments], stdin=stdin, timeout=timeout)

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Describe one object (``container``, ``network``, ``image``, ``volume``); None where there is no such thing."""
        try:
            described: list[dict[str, Any]] = json.loads(self(kind, "inspect", name))
        except CommandError as error:
            if "no such" in error.output.lower() or "not found" in error.output.lower():
                return None
            raise
        return described[0]

    def engine(self) -> Engine | None:
        """The running engine; None where none answers.

        :raises LabError: one runs, but this user may not speak to it.
        """
        try:
            said = json.loads(self("info", "--format", "{{json .}}", timeout=30))
        except CommandError as error:
            if "permission denied" in error.output.lower():
                raise LabError(
                    "A Docker engine runs, but this user may not use it: run as root, or join the group `docker` "
                    f"(`sudo usermod -aG docker $USER`, then log in again).\n{error}"
                ) from error
            return None
        except json.JSONDecodeError:
            return None
        return parse_engine(said, ours=our_process() is not None)


def parse_engine(said: Mapping[str, Any], *, ours: bool) -> Engine | None:
    """Read ``docker info``; a client without an engine prints one as well, with errors and no version."""
    if said.get("ServerErrors") or not said.get("ServerVersion"):
        return None
    return Engine(
        version=said["ServerVersion"],
        name=said.get("Name", ""),
        system=said.get("OperatingSystem", ""),
        storage_driver=said.get("Driver", ""),
        cgroup_version=int(said.get("CgroupVersion") or 1),
        data_root=said.get("DockerRootDir", ""),
        rootless=any("rootless" in option for option in said.get("SecurityOptions") or []),
        ours=ours,
    )


def guard() -> AbstractContextManager[None]:
    """Hold this while an engine is started or stopped: several labs share it."""
    return lock(paths.cache_dir() / "lab" / "locks" / ".engine")


def ensure(docker: Docker, say: Callable[[str], None]) -> Engine:
    """Return a running engine, started by us where there was none.

    :param say: receives what is being done, where that takes a while.
    """
    with guard():
        return _ensure(docker, say)


def _ensure(docker: Docker, say: Callable[[str], None]) -> Engine:
    found = docker.engine()
    if found is None:
        if os.geteuid() != 0:
            raise LabError(
                "No Docker engine runs here, and only root may start one. Start Docker (on most systems: "
                "`sudo systemctl start docker`), or run this as root."
            )
        if shutil.which("dockerd") is None or shutil.which(docker.binary) is None:
            say("installing Docker")
            install()
            found = docker.engine()
    if found is None:
        say("starting the engine")
        found = start(docker)
    if found.rootless:
        raise LabError(
            "The Docker engine runs rootless; nodes need one that runs as root. "
            "Switch with `docker context use default`, or stop the rootless one."
        )
    return found


def install() -> None:
    """Install the distribution's Docker; does nothing about a service that the package may start."""
    if shutil.which("apt-get") is None:
        raise LabError("Docker is not installed, and this machine has no apt-get: install Docker, then try again.")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], environment=quiet)
    wanted = ["docker.io", "iptables"]
    known = run(["apt-cache", "pkgnames", "docker-cli"]).split()
    if "docker-cli" in known:  # Debian 13 on: the client is a package of its own
        wanted.append("docker-cli")
    run(["apt-get", "install", "--yes", "--no-install-recommends", *wanted], environment=quiet)


def data_root() -> Path:
    """Where an engine of ours keeps images and volumes."""
    return paths.cache_dir() / "lab" / "engine"


def log_file() -> Path:
    """Where an engine of ours writes its log."""
    return paths.state_dir() / "lab" / "engine.log"


def _pid_file() -> Path:
    return RUN / "dockerd.pid"


def our_process() -> int | None:
    """Process id of the engine that we started; None where it does not run."""
    try:
        pid = int(_pid_file().read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(RUN / "engine").encode() in command else None


def start(docker: Docker) -> Engine:
    """Start an engine and wait until it answers."""
    host.remember_network()
    log = log_file()
    for folder in (RUN, data_root(), log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for file in (_pid_file(), RUN / "engine" / "containerd" / "containerd.pid"):
        _forget_dead(file)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [
                "dockerd",
                *("--data-root", str(data_root())),
                *("--exec-root", str(RUN / "engine")),
                *("--pidfile", str(_pid_file())),
                *("--host", f"unix://{SOCKET}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        found = docker.engine()
        if found is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.2)
    if process.poll() is not None:
        host.unmount_below(data_root())  # dockerd mounts the folder upon itself and, when it fails, leaves it so
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    state = f"ended with code {process.returncode}" if process.returncode is not None else "gives no answer"
    raise LabError(f"dockerd {state}. Its last words (all of them: {log}):\n{tail}")


def _forget_dead(file: Path) -> None:
    """Delete a pid file whose process has ended; dockerd takes one that was killed and never collected for alive."""
    try:
        alive = bool(processes.started(int(file.read_text())))
    except (OSError, ValueError):
        return
    if not alive:
        file.unlink()


def stop() -> bool:
    """Stop the engine that we started, and clear away what it leaves; False where there was none.

    :raises LabError: it does not end.
    """
    pid = our_process()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _gone(pid, STOP_TIMEOUT):
            raise LabError(f"dockerd (process {pid}) does not end; its log: {log_file()}")
    elif not RUN.exists():
        return False
    host.restore_network()
    for folder in (RUN, data_root()):
        host.unmount_below(folder)
    shutil.rmtree(RUN, ignore_errors=True)
    SOCKET.unlink(missing_ok=True)
    log_file().unlink(missing_ok=True)
    return pid is not None


def _gone(pid: int, seconds: float) -> bool:
    """Wait for the end of a process."""
    deadline = time.monotonic() + seconds
    while processes.started(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
