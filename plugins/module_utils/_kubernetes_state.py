# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm has made of a node: nothing, something unfinished, something unknown, or a member of a cluster."""

from __future__ import annotations

import contextlib
import glob
import http.client
import ipaddress
import json
import os
import re
import ssl
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import LOCK_PATH, MARKER_PATH, Marker, is_locked
from ansible_collections.kubestead.cluster.plugins.module_utils._settings import built_with
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import trusting

RESET_COMMAND = "kubeadm reset --force"
# Where manifests wait while their pods are stopped; beside their folder, so that each moves in one step.
STOPPED_MANIFESTS = "/etc/kubernetes/stopped-manifests"
CONTROL_PLANE_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NODE_PREFIX = "system:node:"
_SERVER = re.compile(r"^\s*server:\s*[\"']?(https?://[^\s\"']+)", re.MULTILINE)
_CLIENT_CERTIFICATE = re.compile(r"^\s*client-certificate(-data)?:\s*\S+", re.MULTILINE)
_SECURE_PORT = re.compile(r"--secure-port=(\d+)")
_ETCD_SERVERS = re.compile(r"--etcd-servers=([^\s\"']+)")
_API_SERVER_IMAGE = re.compile(r"^\s*image:\s*\S+:v(\d+\.\d+\.\d+)", re.MULTILINE)
_BIND_ADDRESS = re.compile(r"--bind-address=([0-9a-fA-F.:]+)\s*$", re.MULTILINE)
# What flannel is told, as the kubelet lays its ConfigMap out for the pod.
_FLANNEL = "/var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/*/net-conf.json"
# What our role had Calico write for the container runtime, with a note in it for us.
_CALICO = "/etc/cni/net.d/10-calico.conflist"
# CNI plugins that make no pod network: those of engines beside Kubernetes, and those that follow another.
_HELPERS = frozenset({"bridge", "firewall", "host-local", "loopback", "portmap", "tuning", "bandwidth", "podman"})


def read_text(path: str) -> t.Optional[str]:
    """The text of a file, None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def _json(path: str) -> dict[str, t.Any]:
    """The mapping in a JSON file, an empty one where it holds none."""
    try:
        value = json.loads(read_text(path) or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _plugins(path: str) -> set[str]:
    """The types of the CNI plugins in a network's configuration."""
    network = _json(path)
    return {str(one.get("type")) for one in network.get("plugins") or [network] if one.get("type")}


class KubernetesState:
    """Kubernetes on this node, read from its files; root is the directory that stands for /."""

    def __init__(self, root: str = "/") -> None:
        self.root = root

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _exists(self, path: str) -> bool:
        return os.path.exists(self._path(path))

    @property
    def static_pods(self) -> list[str]:
        """Names of the manifests in kubeadm's directory."""
        manifests = glob.glob(self._path("/etc/kubernetes/manifests/*.yaml"))
        return sorted(os.path.basename(path)[: -len(".yaml")] for path in manifests)

    @property
    def interrupted(self) -> t.Optional[str]:
        """The operation of ours that was begun and not finished: init or join."""
        return Marker(self._path(MARKER_PATH)).read()

    @property
    def busy(self) -> bool:
        """Whether a kubeadm of ours runs just now."""
        return is_locked(self._path(LOCK_PATH))

    @property
    def role(self) -> t.Optional[str]:
        """control_plane or worker, as far as traces tell; None without traces."""
        if set(self.static_pods) & {*CONTROL_PLANE_PODS, "etcd"} or self._exists("/etc/kubernetes/admin.conf"):
            return "control_plane"
        return "worker" if self.traces else None

    @property
    def traces(self) -> list[str]:
        """Files that only kubeadm or a kubelet that joined leave behind.

        Certificates alone are none: who brings an own authority puts it there before the first run.
        """
        names = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")
        paths = [f"/etc/kubernetes/{name}.conf" for name in names]
        paths += ["/var/lib/kubelet/pki/kubelet-client-current.pem", "/var/lib/etcd/member"]
        pods = (*CONTROL_PLANE_PODS, "etcd")
        paths += [f"/etc/kubernetes/manifests/{name}.yaml" for name in self.static_pods if name in pods]
        return [path for path in paths if self._exists(path)]

    @property
    def is_member(self) -> bool:
        """Whether the node has all that a working member needs on its disk."""
        kubelet = read_text(self._path("/etc/kubernetes/kubelet.conf"))
        if not kubelet or not _CLIENT_CERTIFICATE.search(kubelet) or not self._client_certificate:
            return False
        if self.role == "control_plane":
            return self._exists("/etc/kubernetes/admin.conf") and set(CONTROL_PLANE_PODS) <= set(self.static_pods)
        return True

    @property
    def stage(self) -> str:
        """absent, interrupted, partial or member."""
        if self.interrupted:
            return "interrupted"
        if self.is_member:
            return "member"
        return "partial" if self.traces else "absent"

    @property
    def external_etcd(self) -> list[str]:
        """The URLs of an etcd of the user's own, as this node's API server has them; none where kubeadm made etcd."""
        manifest = read_text(self._path("/etc/kubernetes/manifests/kube-apiserver.yaml")) or ""
        match = _ETCD_SERVERS.search(manifest)
        # kubeadm has its own etcd asked at the loopback address, and puts its certificates below pki/etcd.
        own = "--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt" in manifest
        return match.group(1).split(",") if match and not own else []

    @property
    def api_server_version(self) -> t.Optional[str]:
        """The release of this node's API server, from its manifest."""
        match = _API_SERVER_IMAGE.search(read_text(self._path("/etc/kubernetes/manifests/kube-apiserver.yaml")) or "")
        return match.group(1) if match else None

    @property
    def settings(self) -> dict[str, t.Any]:
        """The settings that a cluster keeps for its life, by variable, as far as this node's files show them."""
        found: dict[str, t.Any] = dict(built_with(lambda path: read_text(self._path(path))))
        plugins = {name for path in self._matches("/etc/cni/net.d/*.conf*") for name in _plugins(path)}
        # Calico without our note in it is the user's own.
        encapsulation = (_json(self._path(_CALICO)).get("kubestead") or {}).get("encapsulation")
        if encapsulation:
            found.update({"cluster_network": "calico", "cluster_calico_encapsulation": encapsulation})
        elif "flannel" in plugins:
            found["cluster_network"] = "flannel"
        elif plugins - _HELPERS:
            found["cluster_network"] = "none"
        for path in self._matches(_FLANNEL):
            backend = (_json(path).get("Backend") or {}).get("Type")
            found.update({"cluster_flannel_backend": backend} if backend else {})
        return found

    def _matches(self, pattern: str) -> list[str]:
        return sorted(glob.glob(self._path(pattern)))

    @property
    def _client_certificate(self) -> t.Optional[str]:
        return read_text(self._path("/var/lib/kubelet/pki/kubelet-client-current.pem"))

    @property
    def node_name(self) -> t.Optional[str]:
        """The name under which the kubelet knows itself, from its client certificate."""
        pem = self._client_certificate
        if not pem:
            return None
        with contextlib.suppress(KubesteadError):
            name = certificates(pem, "the kubelet's client certificate")[0].common_name or ""
            if name.startswith(_NODE_PREFIX):
                return name[len(_NODE_PREFIX) :]
        return None

    @property
    def server(self) -> t.Optional[str]:
        """The API server that the kubelet speaks to."""
        match = _SERVER.search(read_text(self._path("/etc/kubernetes/kubelet.conf")) or "")
        return match.group(1) if match else None

    @property
    def ca_hash(self) -> t.Optional[str]:
        """The pin of the cluster's certificate authority."""
        pem = read_text(self._path("/etc/kubernetes/pki/ca.crt"))
        if not pem:
            return None
        with contextlib.suppress(KubesteadError):
            return certificates(pem, "ca.crt")[0].public_key_hash
        return None

    @property
    def api_address(self) -> tuple[str, int]:
        """Host and port at which this node's own API server is asked."""
        manifest = read_text(self._path("/etc/kubernetes/manifests/kube-apiserver.yaml")) or ""
        port = _SECURE_PORT.search(manifest)
        address = _BIND_ADDRESS.search(manifest)
        bound = ipaddress.ip_address(address.group(1)) if address else None
        return "127.0.0.1" if bound is None or bound.is_unspecified else str(bound), int(
            port.group(1)
        ) if port else 6443

    def api_healthy(self, timeout: float = 2.0) -> t.Optional[bool]:
        """Whether this node's own API server says that it is ready; None where the node has none."""
        if not self._exists("/etc/kubernetes/manifests/kube-apiserver.yaml"):
            return None
        host, port = self.api_address
        connection = None
        try:
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls())
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            if connection:
                connection.close()

    def _tls(self) -> ssl.SSLContext:
        context = trusting(self._path("/etc/kubernetes/pki/ca.crt"))
        # The certificate names the node's address and the service, not the loopback that we ask.
        context.check_hostname = False
        pair = [self._path(f"/etc/kubernetes/pki/apiserver-kubelet-client.{kind}") for kind in ("crt", "key")]
        if all(os.path.exists(path) for path in pair):
            context.load_cert_chain(*pair)
        return context

    def recovery(self) -> str:
        """What to do with a node that holds traces which are not ours and do not work."""
        if self._exists(STOPPED_MANIFESTS):
            return (
                f"A restore of etcd was broken off on this node: its static pods are stopped, and lie in {STOPPED_MANIFESTS}. Run "
                "playbooks/etcd_restore.yml again, with the same snapshot or another. To go on with what etcd has now, move the files "
                "back to /etc/kubernetes/manifests on all control planes."
            )
        return (
            "This node holds traces of kubeadm that make no working member and that Kubestead did not leave: "
            f"{', '.join(self.traces)}. They are not touched, since they may be somebody's cluster. "
            f"If nothing on this node is needed any more, run `{RESET_COMMAND}` on it, then the same again."
        )
