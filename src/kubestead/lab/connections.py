"""The connections that SSH shares, which would outlive the nodes."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path


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
