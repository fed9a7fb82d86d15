# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a PKCS#10 certificate request asks for, with nothing but the standard library."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import _Element, _element, _elements
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE REQUEST-----(.+?)-----END CERTIFICATE REQUEST-----", re.DOTALL)
_COMMON_NAME = b"\x55\x04\x03"
_ORGANIZATION = b"\x55\x04\x0a"
_ALTERNATIVE_NAMES = b"\x55\x1d\x11"
_EXTENSION_REQUEST = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
_ATTRIBUTES = 0xA0
_DNS_NAME = 0x82
_ADDRESS = 0x87


class Request(t.NamedTuple):
    """What a request asks to be certified."""

    common_names: t.Tuple[str, ...]
    organizations: t.Tuple[str, ...]
    names: t.Tuple[str, ...]
    addresses: t.Tuple[str, ...]
    others: int
    """Alternative names that are neither host names nor addresses."""


def parse_request(pem: str) -> Request:
    """The first request of a PEM text. Raises KubesteadError where there is none, or it is damaged."""
    match = _BLOCK.search(pem)
    if not match:
        raise KubesteadError("This is no certificate request: there is no block BEGIN CERTIFICATE REQUEST.")
    try:
        outer = _element(base64.b64decode("".join(match.group(1).split()), validate=True), 0)
        fields = _elements(_element(outer.content, 0).content)
        # version, subject, public key, attributes
        subject = _subject(fields[1])
        alternatives = _alternative_names(fields)
    except (binascii.Error, ValueError, IndexError) as error:
        raise KubesteadError(f"This certificate request is damaged: {error}.") from error
    return Request(
        tuple(value for kind, value in subject if kind == _COMMON_NAME),
        tuple(value for kind, value in subject if kind == _ORGANIZATION),
        tuple(name.content.decode("ascii") for name in alternatives if name.tag == _DNS_NAME),
        tuple(str(ipaddress.ip_address(name.content)) for name in alternatives if name.tag == _ADDRESS),
        sum(1 for name in alternatives if name.tag not in (_DNS_NAME, _ADDRESS)),
    )


def _subject(name: _Element) -> list[tuple[bytes, str]]:
    pairs = [_elements(pair.content) for group in _elements(name.content) for pair in _elements(group.content)]
    return [(pair[0].content, pair[1].content.decode("utf-8")) for pair in pairs]


def _alternative_names(fields: t.Sequence[_Element]) -> list[_Element]:
    for attributes in (field for field in fields if field.tag == _ATTRIBUTES):
        for attribute in _elements(attributes.content):
            kind, values = _elements(attribute.content)[:2]
            if kind.content == _EXTENSION_REQUEST:
                return _from_extensions(_element(values.content, 0))
    return []


def _from_extensions(extensions: _Element) -> list[_Element]:
    for extension in _elements(extensions.content):
        parts = _elements(extension.content)
        if parts[0].content == _ALTERNATIVE_NAMES:
            # Between them may stand whether the extension is critical.
            return _elements(_element(parts[-1].content, 0).content)
    return []
