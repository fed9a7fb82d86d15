# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packet counters that kube-proxy makes in the kernel. No usual tool shows or removes them, so that netlink is spoken here."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

NAMES = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")
# From linux/netlink.h, linux/netfilter/nfnetlink.h and linux/netfilter/nfnetlink_acct.h.
_NETFILTER = 12
_REQUEST, _ACKNOWLEDGE = 1, 4
_ERROR = 2
_SUBSYSTEM = 7 << 8
NEW, GET, DELETE = 0, 1, 3
_NAME = 1


def ask_kernel(command: int, name: str) -> None:
    """Make, look up or delete a counter; an OSError as the kernel gives it."""
    text = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(text), _NAME) + text + b"\0" * (-len(text) % 4)
    body = struct.pack("=BBH", 0, 0, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(body), _SUBSYSTEM | command, _REQUEST | _ACKNOWLEDGE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
        connection.settimeout(2)
        connection.sendto(header + body, (0, 0))
        answer = connection.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] == _ERROR:
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number:
            raise OSError(number, os.strerror(number), name)


def remove_counters(machine: Machine) -> None:
    """Remove kube-proxy's counters; a kernel that knows no counters has none."""
    for name in NAMES:
        with contextlib.suppress(OSError):
            ask_kernel(GET, name)
            machine.take(f"packet counter {name}", lambda name=name: ask_kernel(DELETE, name))  # type: ignore[misc]
