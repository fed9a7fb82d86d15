# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read DER, and in it what certificates and requests for them have in common."""

from __future__ import annotations

import typing as t

COMMON_NAME = b"\x55\x04\x03"
ALTERNATIVE_NAMES = b"\x55\x1d\x11"
# Tag of an alternative name that is an address.
ADDRESS = 0x87


class Element(t.NamedTuple):
    """A DER element: its tag, where its content begins and ends, and its whole encoding."""

    tag: int
    content: bytes
    encoded: bytes


def elements(data: bytes) -> list[Element]:
    """The DER elements that follow one another in the data."""
    found = []
    position = 0
    while position < len(data):
        one = element(data, position)
        found.append(one)
        position += len(one.encoded)
    return found


def element(data: bytes, start: int) -> Element:
    """The DER element that begins at a place in the data; raises ValueError where none does."""
    try:
        tag, first = data[start], data[start + 1]
        head = start + 2
        length = first
        if first & 0x80:
            size = first & 0x7F
            if not 1 <= size <= 4:
                raise ValueError(f"length of {size} bytes")
            length = int.from_bytes(data[head : head + size], "big")
            head += size
    except IndexError as error:
        raise ValueError("data ends in the middle of an element") from error
    if head + length > len(data):
        raise ValueError("data ends in the middle of an element")
    return Element(tag, data[head : head + length], data[start : head + length])


def attributes(name: Element) -> list[tuple[bytes, bytes]]:
    """The identifier and value of each attribute of a distinguished name."""
    pairs = [elements(pair.content) for group in elements(name.content) for pair in elements(group.content)]
    return [(pair[0].content, pair[1].content) for pair in pairs if len(pair) == 2]


def extensions(sequence: Element) -> dict[bytes, bytes]:
    """The value of each extension by its identifier; raises ValueError where one stands twice, which X.509 forbids."""
    found: dict[bytes, bytes] = {}
    for extension in elements(sequence.content):
        # Between identifier and value may stand whether the extension is critical.
        parts = elements(extension.content)
        if parts[0].content in found:
            raise ValueError("an extension stands twice")
        found[parts[0].content] = parts[-1].content
    return found
