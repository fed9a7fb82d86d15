"""What playbooks/status.yml found, put together: one row for each node, and all that is not as it should be, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

WARN_DAYS = 30  # kubeadm's certificates last a year, and renewing them takes minutes

Found = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One node of the cluster, or a host of the inventory that is none yet."""

    name: str
    part: str
    state: str
    version: str = ""
    containerd: str = ""
    etcd: str = ""
    certificates_expire: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOn:
    """One add-on of Kubestead, made of one or more workloads."""

    name: str
    version: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """How a cluster is."""

    nodes: list[NodeRow] = field(default_factory=list)
    virtual_ip: str = ""
    virtual_ip_holders: list[str] = field(default_factory=list)
    addons: list[AddOn] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is amiss."""
        return not self.problems


def judge(found: Found, silent: Sequence[str], now: datetime) -> ClusterStatus:
    """Put together what each host told; ``silent`` are those that told nothing."""
    views = {host: told["cluster"] for host, told in found.items() if told.get("cluster")}
    nodes = {node["name"]: node for node in _nodes(views)}
    names = {told["name"]: host for host, told in found.items() if _is_node(told)}
    virtual_ip = next((told["virtual_ip"] for told in found.values() if told.get("virtual_ip")), "")
    holders = sorted(host for host, told in found.items() if virtual_ip and virtual_ip in told["addresses"])
    problems = [
        *(f"{host} gave no answer, so nothing is known of the machine itself" for host in silent),
        *_of_the_api(views, nodes),
        *(_of_nodes(nodes, names, silent) if nodes else ()),
        *_of_etcd(views, nodes),
        *_of_certificates(views, now),
        *_of_the_virtual_ip(virtual_ip, holders, silent),
        *_of_add_ons(found),
    ]
    rows = [_row(name, nodes.get(name), names.get(name), found) for name in dict.fromkeys([*nodes, *names])]
    return ClusterStatus(
        nodes=rows, virtual_ip=virtual_ip, virtual_ip_holders=holders, addons=_add_ons(found), problems=problems
    )


def _is_node(told: Mapping[str, Any]) -> bool:
    return bool({"control_plane", "workers"} & set(told["groups"]))


def _nodes(views: Found) -> Sequence[Mapping[str, Any]]:
    """The nodes as the first control plane has them whose API server answers."""
    return next((view["nodes"] for view in views.values() if view["nodes"]), ())


def _of_the_api(views: Found, nodes: Mapping[str, Any]) -> Iterator[str]:
    for host, view in views.items():
        if view["api_error"]:
            yield f"the API server gives no answer to {host}: {view['api_error'].splitlines()[-1]}"
    if not views:
        yield "no control plane knows of a cluster: it is not built yet, was reset, or none of them could be reached"
    elif not nodes and not any(view["api_error"] for view in views.values()):
        yield "the cluster has no node"


def _of_nodes(nodes: Found, names: Mapping[str, str], silent: Sequence[str]) -> Iterator[str]:
    for name, node in nodes.items():
        if not node["ready"]:
            yield f"{name} is not Ready: {node['message']}"
        if name not in names and name not in silent:
            yield f"{name} is in the cluster, and not in the inventory"
    for name, host in names.items():
        if name not in nodes:
            yield f"{host} is in the inventory, and not in the cluster"


def _of_etcd(views: Found, nodes: Mapping[str, Any]) -> Iterator[str]:
    for host, view in views.items():
        if view["etcd"]["healthy"] is False:
            yield f"etcd on {host}: {view['etcd']['error']}"
    members = next((view["etcd"]["members"] for view in views.values() if view["etcd"]["members"]), ())
    for member in members:
        name = member["name"] or f"at {', '.join(member['addresses'])}"
        if member["learner"]:
            yield f"etcd's member {name} is still learning, and has no vote"
        if nodes and member["name"] not in nodes:
            yield f"etcd has a member {name}, and the cluster no such node"


def _of_certificates(views: Found, now: datetime) -> Iterator[str]:
    for host, view in views.items():
        for certificate in view["certificates"]:
            if certificate["error"]:
                yield f"{certificate['name']} on {host}: {certificate['error']}"
                continue
            days = (_moment(certificate["expires"]) - now).days
            if days < 0:
                yield f"{certificate['name']} on {host} expired on {certificate['expires'][:10]}"
            elif days < WARN_DAYS:
                yield f"{certificate['name']} on {host} expires in {days} days"


def _of_the_virtual_ip(address: str, holders: Sequence[str], silent: Sequence[str]) -> Iterator[str]:
    if address and not holders and not silent:
        yield f"no machine holds the virtual address {address}"
    if len(holders) > 1:
        yield f"the virtual address {address} is held by {' and '.join(holders)} at the same time"


def _workloads(found: Found) -> Sequence[Mapping[str, Any]]:
    """Those of the add-ons, as the first control plane has them that was told any."""
    return next((told["addons"] for told in found.values() if told.get("addons")), ())


def _add_ons(found: Found) -> list[AddOn]:
    workloads = _workloads(found)
    return [
        AddOn(
            name=name,
            version=next((one["version"] for one in parts if one["version"]), "").removeprefix("v"),
            ready=not any(one["trouble"] for one in parts),
        )
        for name in dict.fromkeys(one["addon"] for one in workloads)
        for parts in [[one for one in workloads if one["addon"] == name]]
    ]


def _of_add_ons(found: Found) -> Iterator[str]:
    for one in _workloads(found):
        if one["trouble"]:
            yield f"the add-on {one['addon']} is not ready: of its {one['name']}, {one['trouble']}"
    told = [told for told in found.values() if (told.get("cluster") or {}).get("nodes")]
    errors = [one["addons_error"] for one in told if one.get("addons_error")]
    if told and len(errors) == len(told):
        yield f"nobody could tell of the add-ons: {errors[0]}"
    elif told:
        there = {one["addon"] for one in _workloads(found)}
        for name in sorted({name for one in told for name in one.get("addons_wanted", ())} - there):
            yield f"the inventory turns the add-on {name} on, and the cluster lacks it: `kubestead apply` brings it"


def _row(name: str, node: Mapping[str, Any] | None, host: str | None, found: Found) -> NodeRow:
    told = found.get(host or "", {})
    view = told.get("cluster") or {}
    if node is None:
        part = "control plane" if "control_plane" in told["groups"] else "worker"
        return NodeRow(name=name, part=part, state="not in the cluster", containerd=told.get("containerd") or "")
    state = "Ready" if node["ready"] else "not Ready"
    return NodeRow(
        name=name,
        part="control plane" if node["control_plane"] else "worker",
        state=state if node["schedulable"] else f"{state}, cordoned",
        version=node["version"].removeprefix("v"),
        containerd=told.get("containerd") or "",
        etcd=_etcd(view.get("etcd") or {}),
        certificates_expire=min((one["expires"] for one in view.get("certificates", []) if one["expires"]), default=""),
    )


def _etcd(etcd: Mapping[str, Any]) -> str:
    if not etcd:
        return ""
    if etcd["external"]:
        return "external"
    return str(etcd["version"]) if etcd["healthy"] else "unhealthy"


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
