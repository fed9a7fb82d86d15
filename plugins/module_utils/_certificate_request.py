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

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._der import (
    ADDRESS,
    ALTERNATIVE_NAMES,
    COMMON_NAME,
    Element,
    attributes,
    element,
    elements,
    extensions,
)

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE REQUEST-----(.+?)-----END CERTIFICATE REQUEST-----", re.DOTALL)
_ORGANIZATION = b"\x55\x04\x0a"
_EXTENSION_REQUEST = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
_ATTRIBUTES = 0xA0
_DNS_NAME = 0x82


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
        outer = element(base64.b64decode("".join(match.group(1).split()), validate=True), 0)
        fields = elements(element(outer.content, 0).content)
        # version, subject, public key, attributes
        subject = [(kind, value.decode("utf-8")) for kind, value in attributes(fields[1])]
        alternatives = _alternative_names(fields)
    except (binascii.Error, ValueError, IndexError) as error:
        raise KubesteadError(f"This certificate request is damaged: {error}.") from error
    return Request(
        tuple(value for kind, value in subject if kind == COMMON_NAME),
        tuple(value for kind, value in subject if kind == _ORGANIZATION),
        tuple(name.content.decode("ascii") for name in alternatives if name.tag == _DNS_NAME),
        tuple(str(ipaddress.ip_address(name.content)) for name in alternatives if name.tag == ADDRESS),
        sum(1 for name in alternatives if name.tag not in (_DNS_NAME, ADDRESS)),
    )


def _alternative_names(fields: t.Sequence[Element]) -> list[Element]:
    requested = [
        values.content
        for field in fields
        if field.tag == _ATTRIBUTES
        for kind, values in (elements(attribute.content)[:2] for attribute in elements(field.content))
        if kind.content == _EXTENSION_REQUEST
    ]
    if len(requested) > 1:
        raise ValueError("it requests extensions twice")
    value = extensions(element(requested[0], 0)).get(ALTERNATIVE_NAMES) if requested else None
    return elements(element(value, 0).content) if value else []
