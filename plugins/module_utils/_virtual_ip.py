# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the network says of a virtual IP before it is used, and whose configuration keepalived and haproxy have.

Asks for the address by ARP as RFC 5227 has it, and listens for VRRP, version 2 (RFC 3768) and 3 (RFC 5798).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import select
import socket
import struct
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text

HEADER = "# Written by Kubestead."
KEEPALIVED = "/etc/keepalived/keepalived.conf"
HAPROXY = "/etc/haproxy/haproxy.cfg"
DPKG_STATUS = "/var/lib/dpkg/status"

SECONDS = 1.5
PROBES = 3
PAUSE = 0.4

_ETHERTYPE_ARP = 0x0806
_ETHERNET = 1
_VRRP_PROTOCOL = 112
_VRRP_GROUP = "224.0.0.18"
_BROADCAST = b"\xff" * 6
_ARP = struct.Struct("!HHBBH6s4s6s4s")
# Hardware Ethernet, protocol IPv4, with addresses of 6 and 4 bytes.
_ARP_OF_IPV4 = (_ETHERNET, 0x0800, 6, 4)
_DIGESTS = {32: "md5", 64: "sha256"}


class Advertisement(t.NamedTuple):
    """What a VRRP router says of itself."""

    virtual_router_id: int
    source: str
    version: int
    addresses: t.Tuple[str, ...]


class Heard(t.NamedTuple):
    """Who answered for the address, by MAC, and which VRRP routers spoke meanwhile."""

    answers: t.List[str]
    routers: t.List[Advertisement]


class Socket(t.Protocol):
    """As much of a socket as is used here."""

    def send(self, data: bytes, /) -> int:
        """Send a frame."""

    def recv(self, size: int, /) -> bytes:
        """Receive a frame or packet."""

    def getsockname(self) -> t.Any:
        """Return interface, protocol, kind of packet, kind of hardware and hardware address."""


def arp_probe(mac: bytes, address: str) -> bytes:
    """The frame that asks for ``address`` and claims none: its sender's is 0.0.0.0, so nobody's cache changes."""
    ethernet = _BROADCAST + mac + struct.pack("!H", _ETHERTYPE_ARP)
    return ethernet + _ARP.pack(*_ARP_OF_IPV4, 1, mac, bytes(4), bytes(6), socket.inet_aton(address))


def arp_answer(frame: bytes, address: str) -> t.Optional[str]:
    """The MAC that an ARP frame gives to ``address``, whether asked or not; None where it speaks of another."""
    if len(frame) < 14 + _ARP.size or frame[12:14] != struct.pack("!H", _ETHERTYPE_ARP):
        return None
    fields = _ARP.unpack_from(frame, 14)
    if fields[:4] != _ARP_OF_IPV4 or fields[6] != socket.inet_aton(address):
        return None
    return ":".join(f"{byte:02x}" for byte in fields[5])


def advertisement(packet: bytes) -> t.Optional[Advertisement]:
    """What an IPv4 packet advertises by VRRP; None where it does not."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _VRRP_PROTOCOL:
        return None
    header = (packet[0] & 0x0F) * 4
    message = packet[header:]
    if len(message) < 8:
        return None
    version, kind = message[0] >> 4, message[0] & 0x0F
    identifier, count = message[1], message[3]
    if version not in (2, 3) or kind != 1 or not identifier or len(message) < 8 + 4 * count:
        return None
    addresses = tuple(socket.inet_ntoa(message[8 + 4 * one : 12 + 4 * one]) for one in range(count))
    return Advertisement(identifier, socket.inet_ntoa(packet[12:16]), version, addresses)


def listen(
    address: str,
    arp: Socket,
    vrrp: Socket,
    clock: t.Callable[[], float] = time.monotonic,
    wait: t.Callable[..., t.Any] = select.select,
) -> Heard:
    """Ask for ``address`` a few times and note what comes back, and what VRRP routers say, until the time is up."""
    probe = arp_probe(arp.getsockname()[4], address)
    start = clock()
    due = [start + PAUSE * number for number in range(PROBES)]
    answers: t.Set[str] = set()
    routers: t.Set[Advertisement] = set()
    while True:
        now = clock()
        if now >= start + SECONDS:
            return Heard(sorted(answers), sorted(routers))
        if due and now >= due[0]:
            arp.send(probe)
            due.pop(0)
        readable = wait([arp, vrrp], [], [], max(0.0, min([*due, start + SECONDS]) - now))[0]
        for one in readable:
            data = one.recv(2048)
            if one is arp:
                answers.update(filter(None, [arp_answer(data, address)]))
            else:
                routers.update(filter(None, [advertisement(data)]))


def probe(interface: str, address: str) -> Heard:
    """Listen on a network interface for all that speaks against the use of ``address`` there.

    Raises OSError where the interface is not there, is no Ethernet or is down, or where the right to do so is missing.
    """
    with contextlib.ExitStack() as stack:
        arp = stack.enter_context(_arp_socket(interface))
        if arp.getsockname()[3] != _ETHERNET:
            raise OSError(f"{interface} is no Ethernet")
        return listen(address, arp, stack.enter_context(_vrrp_socket(interface)))


def _arp_socket(interface: str) -> socket.socket:
    arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_ARP))
    arp.bind((interface, _ETHERTYPE_ARP))
    return arp


def _vrrp_socket(interface: str) -> socket.socket:
    vrrp = socket.socket(socket.AF_INET, socket.SOCK_RAW, _VRRP_PROTOCOL)
    vrrp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    member = struct.pack("=4s4si", socket.inet_aton(_VRRP_GROUP), bytes(4), socket.if_nametoindex(interface))
    vrrp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return vrrp


def carries(text: str, address: str) -> bool:
    """Whether a configuration of keepalived names ``address`` as one to carry."""
    return any(word.partition("/")[0] == address for word in text.split())


class Configuration:
    """A configuration file and whose it is; ``run`` gives a program's standard output, None where it fails."""

    def __init__(self, path: str, run: t.Callable[..., t.Optional[str]], status: str = DPKG_STATUS) -> None:
        self.path = path
        self.text = read_text(path)
        self._run = run
        self._status = status

    @property
    def owner(self) -> str:
        """Absent, ours, default (as the package brought it, which nobody will miss) or foreign."""
        if not (self.text or "").strip():
            return "absent"
        if self.text and self.text.startswith(HEADER):
            return "ours"
        return "default" if self._is_as_packaged() else "foreign"

    def _is_as_packaged(self) -> bool:
        wanted = self._packaged_digest()
        if wanted is None or len(wanted) not in _DIGESTS:
            return False
        with open(self.path, "rb") as handle:
            return hashlib.new(_DIGESTS[len(wanted)], handle.read(), usedforsecurity=False).hexdigest() == wanted

    def _packaged_digest(self) -> t.Optional[str]:
        """The digest that the package manager keeps of the file; dpkg does so also while only the file is left."""
        path = re.escape(self.path)
        known = re.search(rf"(?m)^ {path} ([0-9a-f]{{32}})\b", read_text(self._status) or "")
        if known is None:
            # Of each file of the package: path, size, time, digest and more.
            dump = self._run("rpm", "--query", "--file", "--dump", self.path) or ""
            known = re.search(rf"(?m)^{path} \d+ \d+ ([0-9a-f]+) ", dump)
        return known.group(1) if known else None
