"""Serves the published tree: nginx for files and packages, and in front of a registry for images."""

from __future__ import annotations

import ctypes
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from jinja2 import Environment, PackageLoader, StrictUndefined

from kubestead.mirror.errors import MirrorError
from kubestead.mirror.publish import Mirror, require_published

DEFAULT_LISTEN = "127.0.0.1:8765"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From ``ADDRESS:PORT``; IPv6 addresses stand in brackets."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise MirrorError(f"“{text}” is not an address to listen on. Write ADDRESS:PORT, as {DEFAULT_LISTEN}.")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The mirror's base URL."""
        return f"http://{self}"

    def require_free(self) -> None:
        """Refuses when nobody could listen here."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise MirrorError(
                    f"The mirror cannot listen on {self}: {error.strerror}. Choose another ADDRESS:PORT with --listen, "
                    "or stop what uses this one."
                ) from error


def serve(listen: str, mirror: Mirror, ready: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; calls ``ready`` with the base URL once it answers."""
    address = Address.parse(listen)
    require_published(mirror)
    programs = _programs(mirror)
    address.require_free()
    folder = Path(tempfile.mkdtemp(prefix="kubestead-mirror-"))
    stopping = _Stopping()
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _configure(folder, address, mirror)
        children["docker-registry"] = _start([programs["docker-registry"], "serve", folder / "registry.yml"])
        children["nginx"] = _start([programs["nginx"], "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])
        _wait_until_ready(address, folder / "registry.sock", children, stopping)
        if not stopping.asked:
            ready(address.url)
        while not stopping.asked:
            _require_alive(children)
            stopping.pause(0.5)
    finally:
        _stop(children.values())
        shutil.rmtree(folder, ignore_errors=True)


def start_background(listen: str, state_dir: Path, mirror: Mirror | None = None) -> int:
    """Starts ``kubestead mirror serve`` detached and returns its process id when it answers.

    A server that this function started earlier for the same ``state_dir`` is kept. Its id is in ``mirror.pid``
    and its output in ``mirror.log`` there.
    """
    mirror = mirror or Mirror.default()
    running = background_pid(state_dir)
    if running:
        return running
    require_published(mirror)
    address = Address.parse(listen)
    address.require_free()
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "mirror.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kubestead.mirror", "serve", "--listen", str(address)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "XDG_CACHE_HOME": str(mirror.root.parents[1])},
        )
    pid_file = state_dir / "mirror.pid"
    pid_file.write_text(f"{process.pid} {_start_time(process.pid)}\n")
    deadline = time.monotonic() + _START_SECONDS
    while not (_answers(address, "/index.json") and _answers(address, "/v2/")):
        if process.poll() is not None or time.monotonic() > deadline:
            stop_background(state_dir)
            raise MirrorError(f"The mirror did not start on {address}:\n{log.read_text(errors='replace').strip()}")
        time.sleep(0.05)
    return process.pid


def background_pid(state_dir: Path) -> int | None:
    """The process id of the server started for this folder, or None when it does not run."""
    try:
        pid, begun = (state_dir / "mirror.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == begun else None


def stop_background(state_dir: Path) -> bool:
    """Stops the server started for this folder; tells whether one ran."""
    pid = background_pid(state_dir)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS + 2
        while background_pid(state_dir) and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.05)
        if background_pid(state_dir):
            os.killpg(pid, signal.SIGKILL)
        _reap(pid)
    (state_dir / "mirror.pid").unlink(missing_ok=True)
    return pid is not None


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _start_time(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: an id alone may belong to another process by now."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] == "Z" else after_name[19]


class _Stopping:
    """Remembers that SIGTERM or SIGINT came."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def pause(self, seconds: float) -> None:
        """Sleeps, but not beyond a signal for long."""
        if not self.asked:
            time.sleep(seconds)


def _programs(mirror: Mirror) -> Mapping[str, Path]:
    """The two servers: those of the mirror's own artefact, else the machine's."""
    key = mirror.server()
    if key:
        damage = mirror.store.damage(key)
        if damage:
            raise MirrorError(
                f"The programs that serve the mirror are damaged: in {mirror.store.path(key)}, {damage}. "
                "`kubestead mirror build` makes them again."
            )
        root = mirror.store.path(key)
        return {"docker-registry": root / "usr/bin/docker-registry", "nginx": root / "usr/sbin/nginx"}
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = {name: shutil.which(name, path=path) for name in ("docker-registry", "nginx")}
    lacking = [name for name, place in found.items() if place is None]
    if lacking:
        raise MirrorError(
            f"Serving the mirror needs {' and '.join(lacking)}, which this machine lacks. Install the packages "
            "docker-registry and nginx-light, without starting their services."
        )
    return {name: Path(place) for name, place in found.items() if place}


def _configure(folder: Path, address: Address, mirror: Mirror) -> None:
    # Configuration files, not pages: nothing is to be escaped for HTML.
    templates = Environment(loader=PackageLoader("kubestead.mirror"), undefined=StrictUndefined)  # noqa: S701
    values = {
        "listen": address,
        "folder": str(folder),
        "current": str(mirror.current),
        "root": os.geteuid() == 0,
        "secret": secrets.token_hex(16),
        "workers": min(4, os.cpu_count() or 1),
    }
    for name in ("nginx.conf", "registry.yml"):
        (folder / name).write_text(templates.get_template(f"{name}.j2").render(values))


def _start(command: list[str | Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509 - started by a single thread


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(
    address: Address, registry: Path, children: Mapping[str, subprocess.Popen[bytes]], stopping: _Stopping
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not (registry.exists() and _answers(address, "/v2/") and _answers(address, "/index.json")):
        if stopping.asked:
            return
        _require_alive(children)
        if time.monotonic() > deadline:
            raise MirrorError(f"The mirror does not answer on {address} after {_START_SECONDS:.0f} s.")
        stopping.pause(0.05)


def _answers(address: Address, path: str) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, address.port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _require_alive(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for name, child in children.items():
        if child.poll() is not None:
            raise MirrorError(f"{name} ended with exit code {child.returncode}; what it said stands above.")


def _stop(children: Iterable[subprocess.Popen[bytes]]) -> None:
    processes = list(children)
    for child in processes:
        if child.poll() is None:
            child.terminate()
    for child in processes:
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
