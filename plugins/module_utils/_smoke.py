# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smoke test's knowledge: what it deploys, and how it reads what the cluster answers."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object, condition_of, is_ready

NAMESPACE = "kubestead-smoke"
OWNER_LABEL = "kubestead.io/owner"
OWNER = "smoke-test"
AGENTS = "agents"
SCALED = "scaled"
PORT = 8080
SERVICE_PORT = 80
REPLICAS = 2
_NO_PODS = ("NoSchedule", "NoExecute")
# They follow the node's conditions a moment late, also when it has just become ready.
_PASSING_TAINTS = tuple(f"node.kubernetes.io/{state}" for state in ("not-ready", "unreachable", "network-unavailable"))

PASSED = "passed"
FAILED = "failed"
NOT_RUN = "not run"


class Check(t.NamedTuple):
    """One thing that was tried."""

    name: str
    status: str
    seconds: float
    detail: str

    @property
    def ok(self) -> bool:
        """Whether it worked."""
        return self.status == PASSED

    def result(self) -> Object:
        """The check as the module returns it."""
        return {
            "name": self.name,
            "ok": self.ok,
            "status": self.status,
            "seconds": round(self.seconds, 2),
            "detail": self.detail,
        }


class Pod(t.NamedTuple):
    """A pod of the test that runs."""

    name: str
    node: str
    address: str


def table(checks: t.Sequence[Check]) -> t.List[str]:
    """The checks as lines, one each."""
    width = max((len(check.name) for check in checks), default=0)
    return [f"{check.status:8} {check.name:{width}} {check.seconds:6.1f} s  {check.detail}" for check in checks]


def objects(namespace: str, image: str) -> t.List[Object]:
    """What the test deploys: an agent on every node, a service before them, and a Deployment to scale."""
    return [
        _object("v1", "Namespace", namespace, None),
        _object("v1", "ServiceAccount", AGENTS, namespace, automountServiceAccountToken=False),
        _object("apps/v1", "DaemonSet", AGENTS, namespace, spec=_workload(AGENTS, image)),
        _object("apps/v1", "Deployment", SCALED, namespace, spec={"replicas": 1, **_workload(SCALED, image)}),
        _object(
            *("v1", "Service", AGENTS, namespace),
            spec={
                "type": "NodePort",
                "selector": {"app": AGENTS},
                "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": PORT}],
            },
        ),
    ]


def policy(namespace: str) -> Object:
    """Lets nobody reach the agents."""
    return _object(
        *("networking.k8s.io/v1", "NetworkPolicy", AGENTS, namespace),
        spec={"podSelector": {"matchLabels": {"app": AGENTS}}, "policyTypes": ["Ingress"]},
    )


def _object(version: str, kind: str, name: str, namespace: t.Optional[str], **content: t.Any) -> Object:
    metadata: Object = {"name": name, "labels": {OWNER_LABEL: OWNER}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _workload(name: str, image: str) -> Object:
    container = {
        "name": "agnhost",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "serviceAccountName": AGENTS,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }


def is_ours(namespace: Object) -> bool:
    """Whether a namespace was left by an earlier smoke test."""
    return (namespace["metadata"].get("labels") or {}).get(OWNER_LABEL) == OWNER


def node_problems(nodes: t.Sequence[Object], wanted: t.Sequence[str]) -> t.List[str]:
    """What keeps the wanted nodes, or all where none are named, from being ready."""
    found = {node["metadata"]["name"]: node for node in nodes}
    problems = [f"{name} is not in the cluster" for name in wanted if name not in found]
    for name in wanted or found:
        if name in found and not is_ready(found[name]):
            problems.append(f"{name} is not Ready ({_reason(condition_of(found[name], 'Ready'))})")
    return problems


def schedulable(nodes: t.Sequence[Object], wanted: t.Sequence[str]) -> t.List[str]:
    """The wanted nodes, or all where none are named, that are ready and take ordinary pods."""
    ready = [node for node in nodes if is_ready(node)]
    names = [node["metadata"]["name"] for node in ready if not repels(node)]
    return [name for name in names if not wanted or name in wanted]


def repels(node: Object) -> str:
    """What keeps ordinary pods off a node for good; empty where nothing does."""
    if node["spec"].get("unschedulable"):
        return "cordoned"
    taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] in _NO_PODS]
    lasting = [taint for taint in taints if taint["key"] not in _PASSING_TAINTS]
    return ", ".join(f"{taint['key']}:{taint['effect']}" for taint in lasting)


def node_addresses(nodes: t.Sequence[Object], wanted: t.Sequence[str]) -> t.Dict[str, str]:
    """The address of each wanted node, or of all where none are named, by which other nodes reach it."""
    found = {}
    for node in nodes:
        name = node["metadata"]["name"]
        addresses = [entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"]
        if addresses and (not wanted or name in wanted):
            found[name] = str(addresses[0])
    return found


def dns_problems(found: t.Sequence[Object], nodes: t.Sequence[Object] = ()) -> t.List[str]:
    """What is wrong with the cluster's DNS, from its Deployment and Service as far as they exist.

    A node that is not ready may take one pod with it, for as long as Kubernetes hopes for its return; one must be left.
    """
    kinds = {entry["kind"]: entry for entry in found}
    problems = []
    if "Service" not in kinds:
        problems.append("there is no Service kube-dns in kube-system")
    if "Deployment" in kinds:
        wanted = kinds["Deployment"]["spec"].get("replicas", 1)
        ready = kinds["Deployment"]["status"].get("availableReplicas", 0)
        lost = sum(not is_ready(node) for node in nodes)
        if ready < max(wanted - lost, 1):
            problems.append(f"{ready} of {wanted} CoreDNS pods are available")
    return problems


def ready_pods(pods: t.Sequence[Object], app: str) -> t.List[Pod]:
    """The pods of one workload that are ready, in the order of their nodes' names."""
    found = [
        Pod(pod["metadata"]["name"], pod["spec"]["nodeName"], pod["status"]["podIP"])
        for pod in pods
        if pod["metadata"].get("labels", {}).get("app") == app
        and not pod["metadata"].get("deletionTimestamp")
        and is_ready(pod)
    ]
    return sorted(found, key=lambda pod: (pod.node, pod.name))


def pod_troubles(pods: t.Sequence[Object]) -> t.List[str]:
    """One line for each pod that is not ready, saying what it waits for."""
    lines = []
    for pod in pods:
        if pod["status"].get("phase") == "Succeeded" or is_ready(pod):
            continue
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        where = pod["spec"].get("nodeName") or "no node"
        lines.append(f"pod {name} on {where}: {_waiting(pod)}")
    return lines


def _waiting(pod: Object) -> str:
    statuses = (pod["status"].get("initContainerStatuses") or []) + (pod["status"].get("containerStatuses") or [])
    for status in statuses:
        state = status.get("state", {})
        for kind in ("waiting", "terminated"):
            if kind in state and state[kind].get("reason") != "Completed":
                return f"container {status['name']} is {kind} ({_reason(state[kind])})"
    unmet = [
        entry for entry in pod["status"].get("conditions") or [] if entry["status"] != "True" and entry.get("reason")
    ]
    return _reason(unmet[0]) if unmet else str(pod["status"].get("phase", "unknown"))


def event_lines(events: t.Sequence[Object], count: int = 8) -> t.List[str]:
    """The last warnings among events, oldest first."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    warnings.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    lines = []
    for event in warnings:
        about = event.get("involvedObject") or {}
        lines.append(
            f"event {event.get('reason')} for {about.get('kind')} {about.get('name')}: {str(event.get('message', '')).strip()}"
        )
    return list(dict.fromkeys(lines))[-count:]


def node_port(services: t.Sequence[Object]) -> int:
    """The port of the test's service on every node."""
    return int(services[0]["spec"]["ports"][0]["nodePort"])


def dialled(body: str, expected: t.Collection[str]) -> t.Optional[str]:
    """What is wrong with the answer of an agent that was asked to dial another; None where an expected one answered."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body.strip() or "an empty answer"
    responses = answer.get("responses") or []
    if responses and responses[0].strip() in expected:
        return None
    if responses:
        return f"{responses[0].strip()!r} answered instead"
    return "; ".join(answer.get("errors") or []) or "no answer"


def targets(pods: t.Sequence[Pod], nearest: int = 4) -> t.List[t.Tuple[Pod, Pod]]:
    """Who is to reach whom: everybody everybody else in a small cluster, the next few in a ring in a large one."""
    count = len(pods)
    reach = min(nearest, count - 1)
    return [(pod, pods[(number + step) % count]) for number, pod in enumerate(pods) for step in range(1, reach + 1)]


def _reason(condition: Object) -> str:
    spoken = [str(condition.get(key) or "").strip() for key in ("reason", "message")]
    return ": ".join(text for text in spoken if text) or "no reason given"
