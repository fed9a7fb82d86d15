# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a running cluster can become another release, decided from what runs, and what each node needs for it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_state import node as describe_node
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import condition_of

# node_drain's mark on a node that it has cordoned.
CORDONED = "kubestead.io/cordoned"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# How many minors a kubelet may be older than the API servers.
KUBELET_SKEW = 3
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
# kubeadm keeps its configuration as YAML, which Python cannot read by itself: this is one line at its outermost level.
_CLUSTER_VERSION = re.compile(r"^kubernetesVersion:\s*[\"']?v?(\d+\.\d+\.\d+)", re.MULTILINE)
_NOT_CHANGED = "Nothing was changed."
_Object = t.Mapping[str, t.Any]


class Version(t.NamedTuple):
    """A release of Kubernetes."""

    major: int
    minor: int
    patch: int

    @classmethod
    def of(cls, text: str) -> Version:
        """The version that a text begins with, as v1.36.4 or 1.36.4-1.1."""
        match = _VERSION.match(text)
        if not match:
            raise KubesteadError(f"{text!r} is not a version of Kubernetes such as 1.36.4. {_NOT_CHANGED}")
        return cls(*map(int, match.groups()))

    @property
    def line(self) -> str:
        """The minor release, as 1.36."""
        return f"{self.major}.{self.minor}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def image_version(image: str) -> t.Optional[Version]:
    """The version in an image's tag, None where that is no version."""
    tag = image.partition("@")[0].rpartition("/")[2].rpartition(":")[2]
    return Version.of(tag) if _VERSION.match(tag) else None


def cluster_version(configmap: _Object) -> t.Optional[Version]:
    """The version in kubeadm's record of the cluster, the ConfigMap kubeadm-config."""
    match = _CLUSTER_VERSION.search((configmap.get("data") or {}).get("ClusterConfiguration", ""))
    return Version.of(match.group(1)) if match else None


class Node(t.NamedTuple):
    """A node as the cluster has it."""

    name: str
    control_plane: bool
    ready: bool
    message: str
    schedulable: bool
    cordoned_by_us: bool
    kubelet: Version
    components: t.Dict[str, Version]
    sick_pods: t.Tuple[str, ...]

    @property
    def api_server(self) -> t.Optional[Version]:
        """The version of its API server."""
        return self.components.get("kube-apiserver")


class Cluster(t.NamedTuple):
    """A cluster as it runs."""

    nodes: t.Dict[str, Node]
    recorded: t.Optional[Version]
    etcd: t.Tuple[str, ...] = ()

    @property
    def control_planes(self) -> t.List[Node]:
        """The control planes."""
        return [node for node in self.nodes.values() if node.control_plane]

    @property
    def api_servers(self) -> t.Dict[str, Version]:
        """The version of each control plane's API server."""
        return {node.name: node.api_server for node in self.control_planes if node.api_server}

    def begun(self, target: Version) -> bool:
        """Whether something of it is the wanted release already, as after an upgrade that was interrupted."""
        versions = [node.kubelet for node in self.nodes.values()]
        versions += [version for node in self.control_planes for version in node.components.values()]
        return target in versions or self.recorded == target

    def sickness(self) -> t.List[str]:
        """What is not healthy."""
        found = [f"{node.name} is not Ready: {node.message}" for node in self.nodes.values() if not node.ready]
        found += [
            f"{pod} of {node.name} is not ready" for node in self.control_planes if node.ready for pod in node.sick_pods
        ]
        return found + list(self.etcd)


def read_cluster(
    nodes: t.Iterable[_Object], pods: t.Iterable[_Object], configmap: _Object, etcd: t.Sequence[str] = ()
) -> Cluster:
    """The cluster that these objects describe: the nodes, the static pods of kube-system, and kubeadm's record."""
    static: t.Dict[str, t.List[_Object]] = {}
    for pod in pods:
        static.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
    found = [_node(item, static.get(item["metadata"]["name"], [])) for item in nodes]
    return Cluster({node.name: node for node in found}, cluster_version(configmap), tuple(etcd))


def _node(item: _Object, pods: t.Sequence[_Object]) -> Node:
    told = describe_node(item)
    if not told["version"]:
        raise KubesteadError(
            f"The kubelet of {told['name']} has not reported its version yet: {told['message']}. {_NOT_CHANGED}"
        )
    versions = {pod["metadata"]["labels"].get("component", ""): _version_of_pod(pod) for pod in pods}
    control_plane = bool(told["control_plane"] or pods)
    sick = [pod["metadata"]["name"] for pod in pods if condition_of(pod, "Ready").get("status") != "True"]
    missing = [name for name in COMPONENTS if name not in versions] if control_plane else []
    return Node(
        told["name"],
        control_plane,
        told["ready"],
        told["message"],
        told["schedulable"],
        CORDONED in (item["metadata"].get("annotations") or {}),
        Version.of(told["version"]),
        {name: version for name, version in versions.items() if name in COMPONENTS and version},
        tuple(sorted([*sick, *(f"{name}-{told['name']}" for name in missing)])),
    )


def _version_of_pod(pod: _Object) -> t.Optional[Version]:
    return image_version(pod["spec"]["containers"][0]["image"])


def refusals(target: Version, cluster: Cluster, chosen: t.Collection[str]) -> t.List[str]:
    """Why the cluster cannot become the wanted release now; empty where it can. chosen are the nodes to upgrade."""
    skewed = _skew(target, cluster)
    found = skewed or [*_downgrade(target, cluster), *_skipped(target, cluster)]
    return found + _left_out(target, cluster, chosen)


def _downgrade(target: Version, cluster: Cluster) -> t.List[str]:
    newer = {f"{name}'s API server": version for name, version in cluster.api_servers.items()}
    newer.update({f"{node.name}'s kubelet": node.kubelet for node in cluster.nodes.values()})
    if cluster.recorded:
        newer["kubeadm's record of the cluster (the ConfigMap kubeadm-config)"] = cluster.recorded
    for what, version in newer.items():
        if version > target:
            return [
                f"{what} is of {version}, and {target} is older. Kubernetes cannot go back to an older release. Set "
                f'cluster_kubernetes_version to "{version.line}" or newer; the way back is a cluster built anew, with a snapshot of etcd '
                "from before the upgrade."
            ]
    return []


def _skipped(target: Version, cluster: Cluster) -> t.List[str]:
    for name, version in sorted(cluster.api_servers.items(), key=lambda item: item[1]):
        if (target.major, target.minor) > (version.major, version.minor + 1):
            following = f"{version.major}.{version.minor + 1}"
            return [
                f"{name}'s API server is of {version}, and {target} skips a minor release, which Kubernetes does not support. Upgrade to "
                f'{following} first (cluster_kubernetes_version: "{following}"), then to {target.line}.'
            ]
    return []


def _skew(target: Version, cluster: Cluster) -> t.List[str]:
    newest = max(cluster.api_servers.values(), default=None)
    found = []
    for node in cluster.nodes.values():
        if newest and node.kubelet[:2] > newest[:2]:
            found.append(
                f"{node.name}'s kubelet is of {node.kubelet}, newer than every API server ({newest}), which Kubernetes does not support. "
                f"Put the package kubelet of {newest.line} back on {node.name}, and restart the kubelet."
            )
        elif target.minor - node.kubelet.minor > KUBELET_SKEW:
            found.append(
                f"{node.name}'s kubelet is of {node.kubelet}, more than {KUBELET_SKEW} minor releases older than {target}, whose API "
                f"servers would not work with it. Upgrade the kubelet of {node.name} first, or take the node out of the cluster."
            )
    return found


def _left_out(target: Version, cluster: Cluster, chosen: t.Collection[str]) -> t.List[str]:
    """Control planes that stay older than a node that is to be upgraded."""
    behind = sorted(name for name, version in cluster.api_servers.items() if version < target and name not in chosen)
    workers = [name for name in chosen if name in cluster.nodes and not cluster.nodes[name].control_plane]
    if behind and workers:
        return [
            f"{', '.join(behind)} would stay older than {target}, and workers come after all control planes. "
            "Let the run have the control planes too (--limit leaves them out)."
        ]
    return []


def steps(target: Version, cluster: Cluster, node: Node) -> t.List[str]:
    """What a node needs: control-plane, kubelet, uncordon."""
    found = []
    if node.control_plane and (cluster.recorded != target or any(v != target for v in node.components.values())):
        found.append("control-plane")
    if node.kubelet != target:
        found.append("kubelet")
    if node.cordoned_by_us:
        found.append("uncordon")
    return found


def can_drain(cluster: Cluster, node: Node) -> bool:
    """Whether another node can take the pods of this one; where none can, they are better left running."""
    others = [other for other in cluster.nodes.values() if other.name != node.name]
    return any(other.ready and (other.schedulable or other.cordoned_by_us) for other in others)


def plan(target: Version, cluster: Cluster, chosen: t.Collection[str]) -> t.Dict[str, t.Any]:
    """What is to be done on each of the chosen nodes, those without a part in the cluster left out."""
    nodes = [cluster.nodes[name] for name in chosen if name in cluster.nodes]
    return {
        node.name: {
            "control_plane": node.control_plane,
            "kubelet": str(node.kubelet),
            "control_plane_version": str(min(node.components.values())) if node.components else "",
            "steps": steps(target, cluster, node),
            "drain": can_drain(cluster, node),
        }
        for node in nodes
    }


def refuse(target: Version, reasons: t.Sequence[str]) -> KubesteadError:
    """The error that holds all reasons."""
    said = reasons[0] if len(reasons) == 1 else "\n".join(["", *(f"- {reason}" for reason in reasons)])
    return KubesteadError(f"The cluster is not upgraded to {target}. {_NOT_CHANGED} {said}", reasons=list(reasons))


def etcd_sickness(members: t.Iterable[t.Any], status: t.Callable[[str], _Object]) -> t.List[str]:
    """What is not healthy about the members of etcd; status asks the member at a host, and raises where it cannot."""
    found = []
    for member in members:
        name = member.name or member.id
        if member.learner or not member.name:
            found.append(f"etcd's member {name} ({', '.join(member.hosts)}) has not become a voting member yet")
            continue
        try:
            said = status(member.hosts[0])
        except (KubesteadError, OSError) as error:
            found.append(f"etcd's member {name} does not answer: {getattr(error, 'message', error)}")
            continue
        found += [f"etcd's member {name} complains: {complaint}" for complaint in said.get("errors") or []]
        if said.get("leader", "0") == "0":
            found.append(f"etcd's member {name} knows no leader")
    return found
