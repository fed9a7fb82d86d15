# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a built cluster: which of them stay for its life, where a node shows what they are, and how two of them differ."""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import merged

Document = t.Mapping[str, t.Any]

CLUSTER = "ClusterConfiguration"
KUBELET = "KubeletConfiguration"
PROXY = "KubeProxyConfiguration"

REBUILD = (
    "Put the old value back into the inventory, or build the cluster anew: `kubestead reset`, which takes the cluster's data along, then "
    "`kubestead apply`."
)

_FLAG = re.compile(r"^\s*- --([a-z0-9-]+)=(.*?)\s*$", re.MULTILINE)
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
_SERVER = re.compile(r"^\s*server:\s*[\"']?https://([^\s\"'/]+)", re.MULTILINE)
_CLUSTER_DOMAIN = re.compile(r"^clusterDomain:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_RUNTIME = re.compile(r"^containerRuntimeEndpoint:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_RUNTIMES = {"containerd": "containerd", "cri-dockerd": "docker"}
_NODE_ADDRESS = re.compile(r"--node-ip=([^\s\",]+)")
_IMAGE_VERSION = re.compile(r"^\s*image:\s*[\"']?\S+:(v[0-9][^\s\"']*)", re.MULTILINE)
_VERSION = re.compile(r"^kubernetesVersion:\s*[\"']?(v[^\s\"']+)", re.MULTILINE)


class Fixed(t.NamedTuple):
    """A setting that a cluster is built with and keeps: its variable, what it is, and why it stays."""

    variable: str
    what: str
    reason: str


FIXED = {
    one.variable: one
    for one in (
        Fixed(
            "cluster_pod_cidr",
            "the pods' address range",
            "each node was given its part of it, and pods have addresses of it",
        ),
        Fixed(
            "cluster_service_cidr",
            "the services' address range",
            "services have addresses of it, the cluster's DNS too",
        ),
        Fixed(
            "cluster_dns_domain",
            "the cluster's DNS domain",
            "it stands in every pod's resolv.conf and in the tokens of all accounts",
        ),
        Fixed(
            "cluster_endpoint",
            "the endpoint",
            "every kubelet and every kubeconfig reaches the API servers by it",
        ),
        Fixed(
            "cluster_api_port", "the API servers' port", "the nodes and the load balancers reach the API servers by it"
        ),
        Fixed("cluster_name", "the cluster's name", "kubeconfig files and what was written on the machines carry it"),
        Fixed(
            "cluster_node_address",
            "the node's address",
            "etcd, the certificates and the other nodes know the node by it",
        ),
        Fixed("cluster_external_etcd", "where etcd runs", "the cluster's data would stay behind"),
        Fixed("cluster_container_runtime", "what runs the containers", "its pods would not be taken over by another"),
        Fixed("cluster_network", "the pod network", "pods run in it, and another one would not take them over"),
        Fixed(
            "cluster_flannel_backend",
            "flannel's backend",
            "nodes that have it already and nodes that do not yet would not reach each other's pods",
        ),
        Fixed(
            "cluster_calico_encapsulation",
            "how Calico carries packets",
            "nodes that have it already and nodes that do not yet would not reach each other's pods",
        ),
    )
}
# Where the static pods' manifests show a setting. The last two have no variable of their own.
_FLAGS = {
    ("kube-controller-manager", "cluster-cidr"): "cluster_pod_cidr",
    ("kube-controller-manager", "cluster-name"): "cluster_name",
    ("kube-apiserver", "service-cluster-ip-range"): "cluster_service_cidr",
    ("kube-apiserver", "secure-port"): "cluster_api_port",
    ("kube-apiserver", "advertise-address"): "cluster_node_address",
    ("etcd", "data-dir"): "etcd.local.dataDir",
    ("etcd", "name"): "nodeRegistration.name",
}


def flags(manifest: str) -> dict[str, str]:
    """The arguments in the manifest of a static pod, as kubeadm writes them; the last one wins where a name comes twice."""
    return dict(_FLAG.findall(manifest))


def shown(manifests: t.Mapping[str, str]) -> dict[str, str]:
    """The settings that stay, as manifests of static pods (by name) show them."""
    found: dict[str, str] = {}
    for (name, flag), setting in _FLAGS.items():
        value = flags(manifests.get(name, "")).get(flag)
        if value is not None:
            found[setting] = value
    return found


def built_with(read: t.Callable[[str], t.Optional[str]]) -> dict[str, str]:
    """The settings that stay, as this node's files show them; what cannot be told is left out."""
    names = sorted({name for name, _flag in _FLAGS})
    found = shown({name: read(f"/etc/kubernetes/manifests/{name}.yaml") or "" for name in names})
    for variable, path, pattern in (
        ("cluster_dns_domain", "/var/lib/kubelet/config.yaml", _CLUSTER_DOMAIN),
        # Not the kubelet's: on a control plane that asks its own API server.
        ("cluster_endpoint", "/etc/kubernetes/admin.conf", _SERVER),
        ("cluster_node_address", "/var/lib/kubelet/kubeadm-flags.env", _NODE_ADDRESS),
    ):
        match = pattern.search(read(path) or "")
        if match:
            found.setdefault(variable, match.group(1))
    socket = container_runtime(read("/var/lib/kubelet/instance-config.yaml") or "") or ""
    runtime = _RUNTIMES.get(socket.rpartition("/")[2].partition(".")[0])
    if runtime:
        found["cluster_container_runtime"] = runtime
    return {name: value for name, value in found.items() if name in FIXED}


def differing(found: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> list[str]:
    """The settings that were found and are wanted with another value."""
    return [name for name, value in found.items() if name in wanted and not _same(value, wanted[name])]


def _same(one: t.Any, other: t.Any) -> bool:
    return _canonical(str(one)) == _canonical(str(other))


def _canonical(text: str) -> str:
    """Addresses and ranges in their one way of writing; anything else as it is."""
    return ",".join(_canonical_part(part.strip()) for part in text.split(","))


def _canonical_part(part: str) -> str:
    try:
        return str(ipaddress.ip_network(part, strict=False) if "/" in part else ipaddress.ip_address(part))
    except ValueError:
        return part


def refusal(name: str, found: t.Any, wanted: t.Any) -> str:
    """One line that says which setting stays, what it is, what it was to be, and why it stays."""
    fixed = FIXED.get(name)
    what, reason = (f"{name}, {fixed.what}", f": {fixed.reason}") if fixed else (name, "")
    return f"{what}, is {found} in this cluster and cannot become {wanted}{reason}"


def image_version(manifest: str) -> t.Optional[str]:
    """The version of the image in a manifest of Kubernetes' own, with its v."""
    match = _IMAGE_VERSION.search(manifest)
    return match.group(1) if match else None


def uploaded_version(configuration: str) -> t.Optional[str]:
    """The Kubernetes version in a ClusterConfiguration that kubeadm has written."""
    match = _VERSION.search(configuration)
    return match.group(1) if match else None


def container_runtime(text: str) -> t.Optional[str]:
    """The container runtime's socket in a kubelet's configuration."""
    match = _RUNTIME.search(text)
    return match.group(1) if match else None


def with_version(documents: t.Iterable[Document], version: t.Optional[str]) -> list[dict[str, t.Any]]:
    """The documents, for this version of Kubernetes: which one runs is an upgrade's business."""
    ours = {"kubernetesVersion": version} if version else {}
    return [merged(document, ours) if document.get("kind") == CLUSTER else dict(document) for document in documents]


def document(documents: t.Iterable[Document], kind: str) -> dict[str, t.Any]:
    """The document of this kind; empty where there is none."""
    return next((dict(one) for one in documents if one.get("kind") == kind), {})


def without_credentials(text: str) -> str:
    """The text with names and passwords in URLs blotted out."""
    return _CREDENTIALS.sub(r"\1****@", text)


def keep_initial_cluster(wanted: str, present: str) -> str:
    """The manifest of etcd with the members that it was started with.

    kubeadm writes one that begins a cluster of one member. etcd reads it only at its very first start, so a difference there
    must not restart it.
    """
    kept = [line for line in present.splitlines() if line.lstrip().startswith("- --initial-cluster")]
    lines: list[str] = []
    for line in wanted.splitlines():
        if not line.lstrip().startswith("- --initial-cluster"):
            lines.append(line)
        elif line.lstrip().startswith("- --initial-cluster="):
            lines += kept or [line]
    return "\n".join(lines) + "\n"


def names_of_certificate(documents: t.Sequence[Document], node_name: str) -> set[str]:
    """The names and addresses that kubeadm puts into the certificate of this node's API server."""
    cluster, init = document(documents, CLUSTER), document(documents, "InitConfiguration")
    networking = cluster.get("networking") or {}
    service = ipaddress.ip_network(str(networking["serviceSubnet"]).split(",", maxsplit=1)[0].strip(), strict=False)
    names = {"kubernetes", "kubernetes.default", "kubernetes.default.svc", node_name}
    names |= {f"kubernetes.default.svc.{networking['dnsDomain']}", str(service.network_address + 1)}
    names |= {str(init["localAPIEndpoint"]["advertiseAddress"]), host_of_endpoint(str(cluster["controlPlaneEndpoint"]))}
    names |= {str(name) for name in (cluster.get("apiServer") or {}).get("certSANs") or []}
    return {_canonical(name) for name in names}


def endpoint(documents: t.Iterable[Document]) -> str:
    """The endpoint with its port, which is the API server's own where none is given."""
    documents = list(documents)
    given = str(document(documents, CLUSTER)["controlPlaneEndpoint"])
    if host_of_endpoint(given) != given.strip("[]"):
        return given
    port = (document(documents, "InitConfiguration").get("localAPIEndpoint") or {}).get("bindPort", 6443)
    return f"{given}:{port}"


def host_of_endpoint(endpoint: str) -> str:
    """The host of HOST:PORT, an IPv6 address without its brackets."""
    host, colon, port = endpoint.rpartition(":")
    return (host if colon and port.isdigit() and host else endpoint).strip("[]")


def canonical(thing: t.Any) -> str:
    """The one text of a value, whatever order its keys came in."""
    return json.dumps(thing, sort_keys=True, separators=(",", ":"))
