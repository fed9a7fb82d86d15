# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read certificates with nothing but the standard library: pins of authorities, names, dates."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import http.client
import ipaddress
import json
import re
import ssl
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
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import trusting, unverified

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_AUTHORITY_DATA = re.compile(r"^\s*certificate-authority-data:\s*(\S+)", re.MULTILINE)
_ATTRIBUTES = {
    COMMON_NAME: "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
}
_BASIC_CONSTRAINTS = b"\x55\x1d\x13"
_EXTENDED_KEY_USAGE = b"\x55\x1d\x25"
_SERVER_AUTHENTICATION = b"\x2b\x06\x01\x05\x05\x07\x03\x01"
_SEQUENCE = 0x30
_VERSION = 0xA0
_EXTENSIONS = 0xA3
_BOOLEAN = 0x01
# Alternative names that are text: mail addresses, names of hosts, URIs.
_TEXTS = (0x81, 0x82, 0x86)
_UTC_TIME = 0x17


def _extensions(fields: t.Sequence[Element]) -> dict[bytes, bytes]:
    """The value of each extension by its identifier, from what follows the public key."""
    found: dict[bytes, bytes] = {}
    for field in fields:
        if field.tag == _EXTENSIONS:
            found.update(extensions(element(field.content, 0)))
    return found


def _content(value: t.Optional[bytes]) -> list[Element]:
    """The elements in the sequence that an extension holds; none where it is not there or is something else."""
    try:
        return elements(element(value, 0).content) if value else []
    except ValueError:
        return []


def _distinguished_name(name: Element) -> str:
    return ", ".join(f"{_ATTRIBUTES.get(kind, kind.hex())}={_text(value)}" for kind, value in attributes(name))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


class Certificate:
    """An X.509 certificate, given as DER."""

    def __init__(self, der: bytes) -> None:
        self.der = der
        try:
            outer = element(der, 0)
            fields = elements(element(outer.content, 0).content)
            if outer.tag != _SEQUENCE:
                raise ValueError("it does not begin with a sequence")
            if fields and fields[0].tag == _VERSION:
                fields = fields[1:]
            # serial number, signature, issuer, validity, subject, subject public key info
            self._serial, self._issuer = fields[0], fields[2]
            self._validity, self._subject, self._public_key = fields[3], fields[4], fields[5]
            self._extensions = _extensions(fields[6:])
        except (ValueError, IndexError) as error:
            raise KubesteadError(f"This is not a readable X.509 certificate: {error}.") from error

    @property
    def public_key_hash(self) -> str:
        """sha256: and the hash of the DER SubjectPublicKeyInfo, the form in which kubeadm pins an authority."""
        return "sha256:" + hashlib.sha256(self._public_key.encoded).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the whole certificate, in hexadecimal digits: no two certificates have the same."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def serial(self) -> str:
        """Its serial number, in hexadecimal digits."""
        return self._serial.content.hex()

    @property
    def issuer(self) -> str:
        """Who has signed it, as O=system:masters, CN=somebody."""
        return _distinguished_name(self._issuer)

    @property
    def subject(self) -> str:
        """Whom it names, in the same form."""
        return _distinguished_name(self._subject)

    @property
    def alternative_names(self) -> list[str]:
        """The hosts, addresses and URIs that it is good for."""
        found = []
        for name in _content(self._extensions.get(ALTERNATIVE_NAMES)):
            if name.tag == ADDRESS and len(name.content) in (4, 16):
                found.append(str(ipaddress.ip_address(name.content)))
            elif name.tag in _TEXTS:
                found.append(name.content.decode("utf-8", "replace"))
        return found

    @property
    def is_authority(self) -> bool:
        """Whether it may sign others."""
        constraints = _content(self._extensions.get(_BASIC_CONSTRAINTS))
        return bool(constraints) and constraints[0].tag == _BOOLEAN and constraints[0].content != b"\0"

    @property
    def serves(self) -> bool:
        """Whether a server may show it."""
        usages = _content(self._extensions.get(_EXTENDED_KEY_USAGE))
        return any(usage.content == _SERVER_AUTHENTICATION for usage in usages)

    @property
    def expires(self) -> str:
        """When it expires, in UTC, as 2026-11-21T06:30:00Z."""
        try:
            end = elements(self._validity.content)[1]
            pattern = "%y%m%d%H%M%SZ" if end.tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
            moment = datetime.datetime.strptime(end.content.decode("ascii"), pattern)
        except (ValueError, IndexError) as error:
            raise KubesteadError(f"This certificate does not tell when it expires: {error}.") from error
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def common_name(self) -> t.Optional[str]:
        """The subject's common name, None where there is none."""
        return next((_text(value) for kind, value in attributes(self._subject) if kind == COMMON_NAME), None)


def certificates(pem: str, source: str) -> list[Certificate]:
    """All certificates of a PEM text; source names the text in errors."""
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise KubesteadError(
            f"No certificate in {source}: there is no block that begins with -----BEGIN CERTIFICATE-----."
        )
    return [_certificate(block, f"Certificate {number} in {source}") for number, block in enumerate(blocks, 1)]


def _certificate(block: str, what: str) -> Certificate:
    try:
        return Certificate(base64.b64decode("".join(block.split()), validate=True))
    except (binascii.Error, KubesteadError) as error:
        raise KubesteadError(f"{what} is damaged: {error}") from error


def public_key_hashes(pem: str, source: str) -> list[str]:
    """The pins of all certificates of a PEM text, in their order, each once."""
    return list(dict.fromkeys(certificate.public_key_hash for certificate in certificates(pem, source)))


def authorities_of_server(server: str, timeout: float) -> str:
    """The certificate authorities, as PEM, that an API server names in its public cluster-info.

    Nothing of it is trusted yet, but the server's own certificate must be signed by what it names.
    """
    host, _colon, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise KubesteadError(
            f"{server!r} is not an API server's address. Write host and port, as api.example.org:6443."
        )
    host = host.strip("[]")
    # Whom to trust is just what is being asked, so this first question is put without verification.
    answer = _get(host, int(port), "/api/v1/namespaces/kube-public/configmaps/cluster-info", unverified(), timeout)
    pem = authority_of_cluster_info(answer, server)
    try:
        acquainted = trusting(cadata=pem)
        acquainted.check_hostname = False
        _get(host, int(port), "/version", acquainted, timeout)
    except ssl.SSLError as error:
        raise KubesteadError(
            f"{server} names an authority that has not signed its own certificate ({error}). "
            "Something stands between, or the cluster-info ConfigMap in kube-public is out of date."
        ) from error
    return pem


def authority_of_cluster_info(answer: str, server: str) -> str:
    """The authority in the kubeconfig that the cluster-info ConfigMap holds, as PEM."""
    try:
        kubeconfig = str(json.loads(answer)["data"]["kubeconfig"])
    except (ValueError, KeyError, TypeError) as error:
        raise KubesteadError(f"{server} answered, but not with a cluster-info ConfigMap: {answer[:300]}") from error
    match = _AUTHORITY_DATA.search(kubeconfig)
    if not match:
        raise KubesteadError(f"The cluster-info of {server} names no certificate authority.")
    return base64.b64decode(match.group(1)).decode("ascii", "replace")


def _get(host: str, port: int, path: str, context: ssl.SSLContext, timeout: float) -> str:
    connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise KubesteadError(
            f"No API server answers at {host}:{port}: {error}. Is the address right, and the port open?"
        ) from error
    finally:
        connection.close()
    if response.status >= 400 and path != "/version":
        raise KubesteadError(
            f"The API server at {host}:{port} does not show its cluster-info to strangers (status {response.status}): {body[:300]} "
            "kubeadm publishes it unless the phase bootstrap-token is skipped. Take the hash from /etc/kubernetes/pki/ca.crt instead."
        )
    return body
