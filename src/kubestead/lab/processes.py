"""Processes that would outlive the nodes: the connections that SSH shares."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Collection
from pathlib import Path

from kubestead.lab.errors import LabError

STOP_TIMEOUT = 20


def end(pids: Collection[int]) -> None:
    """Ask processes to end and wait for it; those that do not are killed."""
    alive = {pid: mark for pid in pids if (mark := started(pid))}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in alive:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + STOP_TIMEOUT
        while alive and time.monotonic() < deadline:
            alive = {pid: mark for pid, mark in alive.items() if started(pid) == mark}
            time.sleep(0.05)
        if not alive:
            return
    raise LabError(f"Processes that do not end: {', '.join(map(str, alive))}")


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where it has ended. Only together with it is a number unique."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def ssh_masters(addresses: Collection[str]) -> list[int]:
    """SSH's shared connections (Ansible keeps them open for minutes) to any of these addresses."""
    sockets = tcp_sockets(Path("/proc/net/tcp").read_text(), addresses) if addresses else set()
    masters = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if not re.match(rb"ssh: .*\[mux\]", (folder / "cmdline").read_bytes()):
                continue
            held = {str(link.readlink()) for link in (folder / "fd").iterdir()}
        except OSError:
            continue  # it has just ended, or is not ours to look at
        if any(f"socket:[{inode}]" in held for inode in sockets):
            masters.append(int(folder.name))
    return masters


def tcp_sockets(table: str, addresses: Collection[str]) -> set[str]:
    """Inode numbers of the sockets in ``/proc/net/tcp`` that are connected to one of these addresses."""
    wanted = {"".join(f"{int(part):02X}" for part in reversed(address.split("."))) for address in addresses}
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9] for row in rows if len(row) > 9 and row[2].partition(":")[0] in wanted}
