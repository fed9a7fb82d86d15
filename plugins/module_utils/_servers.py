# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers that Kubernetes runs on a node: where they listen, and which certificate they are to show."""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import CLIENT_PORT, host_of
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text

_MANIFESTS = "/etc/kubernetes/manifests"
_KUBELET = "/var/lib/kubelet"
# What the kubelet made itself, and what the cluster has signed.
KUBELET_OWN = f"{_KUBELET}/pki/kubelet.crt"
KUBELET_SIGNED = f"{_KUBELET}/pki/kubelet-server-current.pem"
_CERTIFICATE_FILE = re.compile(r"--(?:tls-cert-file|cert-file)=(\S+)")
_PEER_FILE = re.compile(r"--peer-cert-file=(\S+)")
_PEER_URLS = re.compile(r"--listen-peer-urls=([^\s,]+)")
_SECURE_PORT = re.compile(r"--secure-port=(\d+)")
_BIND_ADDRESS = re.compile(r"--bind-address=([0-9a-fA-F.:]+)\s*$", re.MULTILINE)
_KUBELET_PORT = re.compile(r"^port:\s*(\d+)", re.MULTILINE)
_KUBELET_FILE = re.compile(r"^tlsCertFile:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_DEFAULT_PORTS = {"kube-apiserver": 6443, "kube-controller-manager": 10257, "kube-scheduler": 10259, "kubelet": 10250}


class Server(t.NamedTuple):
    """A server of this node, and the file of the certificate that it is to show; none where it makes one for itself."""

    name: str
    host: str
    port: int
    path: t.Optional[str]


class Servers:
    """The servers of the node whose files are below root."""

    def __init__(self, root: str = "/") -> None:
        self.root = root

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _text(self, path: str) -> str:
        return read_text(self._path(path)) or ""

    def all(self) -> list[Server]:
        """All of them, as far as this node has them."""
        pods = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        found = [server for server in map(self.pod, pods) if server]
        return [*found, *self._etcd(), *self._kubelet()]

    def pod(self, name: str) -> t.Optional[Server]:
        """The server in a static pod other than etcd; None where this node has no such pod."""
        manifest = self._text(f"{_MANIFESTS}/{name}.yaml")
        if not manifest:
            return None
        port, address = _SECURE_PORT.search(manifest), _BIND_ADDRESS.search(manifest)
        file = _CERTIFICATE_FILE.search(manifest)
        return Server(
            name,
            _reachable(address.group(1) if address else ""),
            int(port.group(1)) if port else _DEFAULT_PORTS[name],
            file.group(1) if file else None,
        )

    @property
    def kubelet_file(self) -> str:
        """The file of the certificate that the kubelet shows: one that it was given, one that the cluster signed, its own."""
        given = _KUBELET_FILE.search(self._text(f"{_KUBELET}/config.yaml"))
        if given:
            return given.group(1)
        return KUBELET_SIGNED if os.path.exists(self._path(KUBELET_SIGNED)) else KUBELET_OWN

    def _etcd(self) -> t.Iterator[Server]:
        manifest = self._text(f"{_MANIFESTS}/etcd.yaml")
        if manifest:
            file, peer, urls = (pattern.search(manifest) for pattern in (_CERTIFICATE_FILE, _PEER_FILE, _PEER_URLS))
            yield Server("etcd", "127.0.0.1", CLIENT_PORT, file.group(1) if file else None)
            if peer and urls:
                yield Server("etcd's peers", host_of(urls.group(1)), CLIENT_PORT + 1, peer.group(1))

    def _kubelet(self) -> t.Iterator[Server]:
        if os.path.exists(self._path("/etc/kubernetes/kubelet.conf")):
            port = _KUBELET_PORT.search(self._text(f"{_KUBELET}/config.yaml"))
            number = int(port.group(1)) if port else _DEFAULT_PORTS["kubelet"]
            yield Server("kubelet", "127.0.0.1", number, self.kubelet_file)


def _reachable(bound: str) -> str:
    """The address at which a server is asked that is bound to this one."""
    return "127.0.0.1" if not bound or ipaddress.ip_address(bound).is_unspecified else bound
