"""Frames and packets byte by byte as the RFCs have them, the loop over them with a clock of its own, and whose a file is."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _virtual_ip
from ansible_collections.kubestead.cluster.plugins.module_utils._virtual_ip import (
    Advertisement,
    Configuration,
    advertisement,
    arp_answer,
    arp_probe,
    carries,
    listen,
)

ADDRESS = "192.0.2.10"
OURS = bytes.fromhex("525400000005")
THEIRS = bytes.fromhex("525400000099")

# Version 4 with 5 words, 40 bytes in all, time to live 255, protocol 112, from 192.0.2.99 to 224.0.0.18.
IPV4 = bytes.fromhex("45c00028 00010000 ff70 d8d5 c0000263 e0000012")
# Version 3, advertisement, id 51, priority 200, one address, 100 centiseconds, checksum, 192.0.2.100.
VRRP_3 = bytes.fromhex("31 33 c8 01 0064 1234 c0000264")
# Version 2, the same with two addresses, no authentication, 1 second, checksum, and 8 bytes of authentication data.
VRRP_2 = bytes.fromhex("21 33 c8 02 00 01 1234 c0000264 c0000265 0000000000000000")


def arp(operation: int, sender: bytes, address: str, target: str = ADDRESS) -> bytes:
    """An ARP frame to this machine."""
    ethernet = OURS + sender + bytes.fromhex("0806")
    fixed = bytes.fromhex("0001 0800 06 04") + struct.pack("!H", operation)
    return ethernet + fixed + sender + socket.inet_aton(address) + OURS + socket.inet_aton(target)


def test_a_probe_is_a_broadcast_that_claims_no_address() -> None:
    assert arp_probe(OURS, ADDRESS) == bytes.fromhex(
        "ffffffffffff 525400000005 0806"  # to all, from us, ARP
        "0001 0800 06 04 0001"  # Ethernet, IPv4, their lengths, request
        "525400000005 00000000"  # from our MAC and no address
        "000000000000 c000020a"  # who has 192.0.2.10
    )


@pytest.mark.parametrize("operation", [1, 2], ids=["a request of its own", "a reply"])
def test_who_speaks_from_the_address_has_it(operation: int) -> None:
    padded = arp(operation, THEIRS, ADDRESS) + bytes(18)
    assert arp_answer(padded, ADDRESS) == "52:54:00:00:00:99"


@pytest.mark.parametrize(
    "frame",
    [
        arp(2, THEIRS, "192.0.2.11"),
        arp(1, THEIRS, "0.0.0.0"),
        arp(2, THEIRS, ADDRESS)[:-1],
        arp(2, THEIRS, ADDRESS).replace(b"\x08\x06", b"\x08\x00"),
        arp(2, THEIRS, ADDRESS).replace(b"\x08\x00\x06\x04", b"\x08\x00\x08\x04"),
        b"",
    ],
    ids=["of another address", "another's probe", "cut", "no ARP", "no Ethernet", "nothing"],
)
def test_other_frames_are_no_answer(frame: bytes) -> None:
    assert arp_answer(frame, ADDRESS) is None


def test_version_3_is_read() -> None:
    assert advertisement(IPV4 + VRRP_3) == Advertisement(51, "192.0.2.99", 3, ("192.0.2.100",))


def test_version_2_is_read() -> None:
    assert advertisement(IPV4 + VRRP_2) == Advertisement(51, "192.0.2.99", 2, ("192.0.2.100", "192.0.2.101"))


def test_options_of_the_ip_header_are_passed_over() -> None:
    with_options = b"\x46" + IPV4[1:] + bytes.fromhex("94040000")
    assert advertisement(with_options + VRRP_3) == Advertisement(51, "192.0.2.99", 3, ("192.0.2.100",))


@pytest.mark.parametrize(
    "packet",
    [
        b"\x65" + IPV4[1:] + VRRP_3,
        IPV4.replace(b"\xff\x70", b"\xff\x11") + VRRP_3,
        IPV4 + b"\x41" + VRRP_3[1:],
        IPV4 + b"\x32" + VRRP_3[1:],
        IPV4 + VRRP_3[:1] + b"\x00" + VRRP_3[2:],
        IPV4 + VRRP_3[:-1],
        IPV4 + VRRP_3[:7],
        IPV4[:19],
        b"",
    ],
    ids=["IPv6", "UDP", "version 4", "no advertisement", "id 0", "an address cut", "a header cut", "IP cut", "nothing"],
)
def test_other_packets_advertise_nothing(packet: bytes) -> None:
    assert advertisement(packet) is None


class Wire:
    """A clock, two sockets and what comes over them, by second and socket."""

    def __init__(self, *arrivals: tuple[float, str, bytes]) -> None:
        self.now = 100.0
        self.arrivals = sorted(arrivals)
        self.sent: list[float] = []
        self.arp, self.vrrp = End(self, "arp"), End(self, "vrrp")

    def wait(self, sockets: list[End], _writable: list[Any], _broken: list[Any], seconds: float) -> Any:
        assert seconds >= 0
        coming = self.arrivals[0][0] + 100 if self.arrivals else float("inf")
        if coming > self.now + seconds:
            self.now += seconds
            return [], [], []
        self.now = max(self.now, coming)
        return [one for one in sockets if one.name == self.arrivals[0][1]], [], []

    def listen(self) -> Any:
        return listen(ADDRESS, self.arp, self.vrrp, lambda: self.now, self.wait)


class End:
    """One of the two sockets."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name

    def send(self, data: bytes, /) -> int:
        assert data == arp_probe(OURS, ADDRESS)
        self.wire.sent.append(round(self.wire.now - 100, 3))
        return len(data)

    def recv(self, size: int, /) -> bytes:
        return self.wire.arrivals.pop(0)[2][:size]

    def getsockname(self) -> Any:
        return ("eth0", 0x0806, 0, 1, OURS)


def test_a_silent_network_is_asked_three_times_within_a_second_and_a_half() -> None:
    wire = Wire()
    assert wire.listen() == ([], [])
    assert wire.sent == [0.0, 0.4, 0.8]
    assert wire.now == pytest.approx(101.5)


def test_all_that_answer_and_advertise_are_heard_once() -> None:
    wire = Wire(
        (0.01, "arp", arp(2, THEIRS, ADDRESS)),
        (0.02, "arp", arp(2, THEIRS, "192.0.2.77")),
        (0.3, "vrrp", IPV4 + VRRP_3),
        (0.41, "arp", arp(2, THEIRS, ADDRESS)),
        (0.9, "vrrp", IPV4 + b"\x31\x0a" + VRRP_3[2:]),
        (1.3, "vrrp", IPV4 + VRRP_3),
        (1.4, "vrrp", b"noise"),
        (1.6, "arp", arp(2, OURS, ADDRESS)),
    )
    heard = wire.listen()
    assert heard.answers == ["52:54:00:00:00:99"]
    assert [(router.virtual_router_id, router.source) for router in heard.routers] == [
        (10, "192.0.2.99"),
        (51, "192.0.2.99"),
    ]
    assert wire.sent == [0.0, 0.4, 0.8]


def test_a_loud_network_does_not_prolong_it() -> None:
    wire = Wire(*((number / 1000, "vrrp", b"noise") for number in range(3000)))
    wire.listen()
    assert wire.now == pytest.approx(101.5)
    assert wire.sent == [0.0, 0.4, 0.8]


def test_a_machine_that_stood_still_asks_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    wire.arrivals = [(0.01, "vrrp", b"noise")]
    receive = wire.vrrp.recv

    def slowly(size: int, /) -> bytes:
        wire.now += 1.0
        return receive(size)

    monkeypatch.setattr(wire.vrrp, "recv", slowly)
    wire.listen()
    assert wire.sent == [0.0, 1.01, 1.01]
    assert wire.now == pytest.approx(101.5)


def test_an_interface_that_is_not_ethernet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tunnel:
        closed = False

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_reason: object) -> None:
            Tunnel.closed = True

        def getsockname(self) -> Any:
            return ("wg0", 0x0806, 0, 65534, b"")

    monkeypatch.setattr(_virtual_ip, "_arp_socket", lambda _interface: Tunnel())
    with pytest.raises(OSError, match="wg0 is no Ethernet"):
        _virtual_ip.probe("wg0", ADDRESS)
    assert Tunnel.closed


CONFIGURATION = """\
# Written by Kubestead.
vrrp_instance kubernetes-api {
    unicast_src_ip 192.0.2.5
    virtual_ipaddress {
        192.0.2.10/32 dev eth0
    }
}
"""


@pytest.mark.parametrize(
    ("address", "found"), [("192.0.2.10", True), ("192.0.2.1", False), ("92.0.2.10", False), ("192.0.2.100", False)]
)
def test_the_address_that_keepalived_carries(address: str, found: bool) -> None:
    assert carries(CONFIGURATION, address) is found


Owner = Callable[..., str]


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    """A function that tells whose a file of this text is, given what dpkg's status file or rpm says of it."""

    def owner(text: str | None, status: str = "", dump: str | None = None) -> str:
        path = tmp_path / "haproxy.cfg"
        if text is not None:
            path.write_text(text)
        (tmp_path / "status").write_text(status.format(path=path))
        said = None if dump is None else dump.format(path=path)
        return Configuration(str(path), lambda *_command: said, str(tmp_path / "status")).owner

    return owner


DEFAULT = "global\n\tlog /dev/log local0\n"
MD5 = hashlib.md5(DEFAULT.encode(), usedforsecurity=False).hexdigest()
STATUS = (
    f"Package: haproxy\nStatus: install ok installed\nConffiles:\n /etc/init.d/haproxy {32 * 'a'}\n {{path}} {MD5}\n"
)
DUMP = (
    f"/usr/sbin/haproxy 9 9 {64 * 'b'} 0100755 root root 0 0 0 X\n"
    f"{{path}} 30 1700000000 {hashlib.sha256(DEFAULT.encode()).hexdigest()} 0100644 root root 1 0 0 X\n"
)


@pytest.mark.parametrize(
    ("text", "status", "dump", "expected"),
    [
        (None, "", None, "absent"),
        ("\n", "", None, "absent"),
        (CONFIGURATION, "", None, "ours"),
        (DEFAULT, STATUS, None, "default"),
        (DEFAULT, STATUS.replace("install ok installed", "deinstall ok config-files"), None, "default"),
        (DEFAULT, "", DUMP, "default"),
        (DEFAULT + "listen web\n", STATUS, None, "foreign"),
        (DEFAULT + "listen web\n", "", DUMP, "foreign"),
        (DEFAULT, "", None, "foreign"),
        (DEFAULT, "", "{path} is not owned by any package\n", "foreign"),
        ("# A comment\n" + CONFIGURATION, "", None, "foreign"),
    ],
)
def test_whose_a_configuration_is(text: str | None, status: str, dump: str | None, expected: str, owner: Owner) -> None:
    assert owner(text, status, dump) == expected
