"""A cluster for the smoke test that answers as a real one did, until a test breaks a part of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, Outcome
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke_run import Settings, SmokeTest

RECORDED = Path(__file__).parent / "recorded"
NODES = ("control-plane-1", "worker-1", "worker-2")


def recorded(name: str) -> list[dict[str, Any]]:
    """The items of what kubectl printed on a real cluster."""
    document: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return document["items"]


class FakeForward:
    def __init__(self, cluster: FakeCluster, pod: str) -> None:
        self.cluster = cluster
        self.pod = pod
        self.url = f"http://127.0.0.1:1/{pod}"

    def open(self) -> None:
        if self.pod in self.cluster.unforwarded:
            raise KubesteadError("kubectl port-forward said: error dialing backend")
        self.cluster.open_forwards.add(self.pod)

    def close(self) -> None:
        self.cluster.open_forwards.discard(self.pod)


class FakeCluster:
    """Three recorded nodes and the recorded pods of a test; time passes only by sleeping."""

    namespace = "kubestead-smoke"

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes = recorded("nodes")
        self.dns = recorded("coredns")
        self.pods = recorded("pods")
        self.services = recorded("services")
        self.events: list[dict[str, Any]] = []
        self.namespaces: list[dict[str, Any]] = []
        self.replicas = 1
        self.calls: list[str] = []
        self.unforwarded: set[str] = set()
        self.open_forwards: set[str] = set()
        self.unresolved: set[str] = set()
        self.cut: set[tuple[str, str]] = set()
        self.closed: set[str] = set()
        self.unmeasured: set[str] = set()
        self.policies: set[str] = set()
        self.deaf = False
        self.clinging = False
        self.broken: dict[str, str] = {}
        self.stuck = False
        self.dead_pods = False
        self.written: dict[str, str] = {}
        self.before_get: Callable[[FakeCluster], None] = lambda cluster: None

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise KubesteadError(self.broken[name])

    def get(self, *args: str) -> list[dict[str, Any]]:
        self._call("get")
        self.before_get(self)
        what = [arg for arg in args if arg not in ("--namespace", self.namespace, "kube-system", "--all-namespaces")]
        found = {
            "nodes": self.nodes,
            "namespace": self.namespaces,
            "pods": [pod for pod in self.pods if "scaled" not in pod["metadata"]["name"]] + self._scaled(),
            "events": self.events,
            "service/agents": self.services,
            "deployment/coredns": self.dns,
            "nodes.metrics.k8s.io": [node for node in self.nodes if node["metadata"]["name"] not in self.unmeasured],
        }
        return copy.deepcopy(found[what[0]])

    def _scaled(self) -> list[dict[str, Any]]:
        first = next(pod for pod in self.pods if pod["metadata"]["name"].startswith("scaled"))
        pods = [copy.deepcopy(first) for _ in range(self.replicas)]
        for number, pod in enumerate(pods):
            pod["metadata"]["name"] = f"scaled-{number}"
        return pods

    def create(self, objects: list[dict[str, Any]]) -> None:
        self._call("create")
        self.namespaces += [entry for entry in objects if entry["kind"] == "Namespace"]
        self.policies |= {entry["metadata"]["name"] for entry in objects if entry["kind"] == "NetworkPolicy"}

    def scale(self, deployment: str, replicas: int) -> None:
        self._call("scale")
        self.replicas = replicas

    def delete(self, kind: str, name: str) -> None:
        self._call(f"delete {kind}")
        if not self.clinging:
            self.policies.remove(name)

    def delete_namespace(self) -> None:
        self._call("delete")
        if not self.stuck and not self.dead_pods:
            self.namespaces = []

    def forget_pods(self) -> None:
        self._call("forget")
        if not self.stuck:
            self.namespaces = []

    def execute(self, pod: str, *command: str) -> Outcome:
        self._call("exec")
        if command[-1].split(":")[0] in self.agents().values():
            shut = bool(self.policies and not self.deaf)
            self.now += shut
            return Outcome(["kubectl"], int(shut), "", "TIMEOUT\n" if shut else "")
        if pod in self.unresolved and "127.0.0.1:8080" not in command:
            return Outcome(["kubectl"], 1, "", "DNS: lookup kubernetes.default: i/o timeout\n")
        return Outcome(["kubectl"], 0, "", "")

    def logs(self, pod: str) -> str:
        self._call("logs")
        return self.written.get(pod, "") + "Started HTTP server on port 8080\n"

    def forward(self, pod: str) -> FakeForward:
        return FakeForward(self, pod)

    def agents(self) -> dict[str, str]:
        """Addresses of the pods on the nodes, by name."""
        return {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in self.pods
            if pod["metadata"]["labels"]["app"] == "agents"
        }

    def fetch(self, url: str, timeout: float) -> str:
        parts = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.hostname != "127.0.0.1":
            if parts.hostname in self.closed:
                raise TimeoutError("timed out")
            return next(iter(self.agents()))
        _, pod, path = parts.path.split("/")
        assert pod in self.open_forwards, "asked through a forward that is not open"
        if path == "echo":
            self.written[pod] = f"GET /echo?msg={query['msg']}&code=\n"
            return query["msg"]
        if path == "hostname":
            return pod
        return self._dial(pod, query)

    def _dial(self, pod: str, query: dict[str, str]) -> str:
        host = query["host"]
        if not host[0].isdigit() and pod in self.unresolved:
            return f"host and/or port param are invalid. lookup {host}: i/o timeout\n"
        if (pod, host) in self.cut or (pod, "*") in self.cut:
            return json.dumps({"errors": [f"Get http://{host}: context deadline exceeded"]})
        by_address = {address: name for name, address in self.agents().items()}
        return json.dumps({"responses": [by_address.get(host, next(iter(self.agents())))]})


class Harness:
    """The fake cluster and a test of it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.settings = Settings(image="registry.example/agnhost:1", nodes=NODES, metrics=True, policies=True)

    def run(self) -> SmokeTest:
        test = SmokeTest(
            self.cluster, self.settings, self.cluster.fetch, clock=self.cluster.clock, sleep=self.cluster.sleep
        )
        test.run()
        return test

    def statuses(self) -> dict[str, str]:
        return {check.name: check.status for check in self.run().checks}


@pytest.fixture
def harness() -> Harness:
    return Harness()
