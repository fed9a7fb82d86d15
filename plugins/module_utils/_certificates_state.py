# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates of a node: what its files hold, and what its servers show now. Nothing is changed, and nothing raises."""

from __future__ import annotations

import base64
import binascii
import datetime
import glob
import os
import re
import socket
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import Certificate, certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._servers import Server, Servers
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import unverified

FOLDER = "/etc/kubernetes"
# What `kubeadm certs renew` calls those that it makes, by their files below FOLDER.
KUBEADM = {
    "pki/apiserver.crt": "apiserver",
    "pki/apiserver-etcd-client.crt": "apiserver-etcd-client",
    "pki/apiserver-kubelet-client.crt": "apiserver-kubelet-client",
    "pki/front-proxy-client.crt": "front-proxy-client",
    "pki/etcd/healthcheck-client.crt": "etcd-healthcheck-client",
    "pki/etcd/peer.crt": "etcd-peer",
    "pki/etcd/server.crt": "etcd-server",
    "admin.conf": "admin.conf",
    "controller-manager.conf": "controller-manager.conf",
    "scheduler.conf": "scheduler.conf",
    "super-admin.conf": "super-admin.conf",
}
_CLIENT_DATA = re.compile(r"^\s*client-certificate-data:\s*(\S+)", re.MULTILINE)
_CLIENT_FILE = re.compile(r"^\s*client-certificate:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_TIMEOUT = 3.0


class NodeCertificates:
    """The certificates of the node whose files are below root."""

    def __init__(self, root: str = "/", now: t.Optional[datetime.datetime] = None) -> None:
        self.root = root
        self.servers = Servers(root)
        self.now = now or datetime.datetime.now(datetime.timezone.utc)

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _text(self, path: str) -> str:
        return read_text(self._path(path)) or ""

    def files(self) -> list[dict[str, t.Any]]:
        """Each certificate of the node's files, of one with a chain the first."""
        found = []
        patterns = [f"{FOLDER}/{pattern}" for pattern in ("pki/*.crt", "pki/etcd/*.crt", "external-etcd/*.crt")]
        for pattern in patterns:
            for path in sorted(glob.glob(self._path(pattern))):
                found.append(self._of_file("/" + os.path.relpath(path, self.root)))
        for name in ("admin", "super-admin", "controller-manager", "scheduler"):
            path = f"{FOLDER}/{name}.conf"
            if os.path.exists(self._path(path)):
                found.append(self._of_kubeconfig(path))
        if os.path.exists(self._path(f"{FOLDER}/kubelet.conf")):
            found.append(self._of_kubeconfig(f"{FOLDER}/kubelet.conf"))
        serving = self.servers.kubelet_file
        if os.path.exists(self._path(serving)):
            found.append(self._of_file(serving))
        return found

    def _of_kubeconfig(self, path: str) -> dict[str, t.Any]:
        text = self._text(path)
        embedded, file = _CLIENT_DATA.search(text), _CLIENT_FILE.search(text)
        if embedded:
            try:
                pem = base64.b64decode(embedded.group(1)).decode("ascii", "replace")
            except binascii.Error:
                pem = ""
            return self._told(path, pem, path)
        if file:
            return self._told(path, self._text(file.group(1)), file.group(1))
        return self._told(path, "", path)

    def _of_file(self, path: str) -> dict[str, t.Any]:
        return self._told(path, self._text(path), path)

    def _told(self, path: str, pem: str, where: str) -> dict[str, t.Any]:
        """What is worth telling of a certificate; path names it, where is the file that holds it."""
        name = os.path.relpath(path, FOLDER) if path.startswith(f"{FOLDER}/") else os.path.basename(path)
        told: dict[str, t.Any] = {"name": name, "path": where, "kubeadm": KUBEADM.get(name, ""), "error": ""}
        try:
            told.update(self.described(certificates(pem, where)[0]))
        except KubesteadError as error:
            told["error"] = error.message
        return told

    def described(self, certificate: Certificate) -> dict[str, t.Any]:
        """A certificate as data."""
        end = datetime.datetime.strptime(certificate.expires, "%Y-%m-%dT%H:%M:%SZ")
        return {
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "sans": certificate.alternative_names,
            "authority": certificate.is_authority,
            "serial": certificate.serial,
            "fingerprint": certificate.fingerprint,
            "not_after": certificate.expires,
            "days": (end.replace(tzinfo=datetime.timezone.utc) - self.now).days,
        }

    def served(self) -> list[dict[str, t.Any]]:
        """What each server of this node shows now, and whether that is what its file holds."""
        return [self._shown(server) for server in self.servers.all()]

    def _shown(self, server: Server) -> dict[str, t.Any]:
        told: dict[str, t.Any] = {
            "name": server.name,
            "port": server.port,
            "path": server.path or "",
            "current": None,
            "error": "",
        }
        try:
            shown = shown_certificate(server.host, server.port)
            told.update(self.described(shown))
            if server.path:
                told["current"] = shown.fingerprint == certificates(self._text(server.path), server.path)[0].fingerprint
        except (KubesteadError, OSError) as error:
            told["error"] = f"{server.host}:{server.port}: {error}"
        return told


def shown_certificate(host: str, port: int, timeout: float = _TIMEOUT) -> Certificate:
    """The certificate that a server shows whoever connects. Nothing is told to it, so it is not verified."""
    with (
        socket.create_connection((host, port), timeout=timeout) as plain,
        unverified().wrap_socket(plain) as connection,
    ):
        return Certificate(connection.getpeercert(binary_form=True) or b"")
