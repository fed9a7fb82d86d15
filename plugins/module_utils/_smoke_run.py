# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of the smoke test: deploy, resolve, reach, exec, logs, forward, scale, clean up."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, Outcome
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke import (
    AGENTS,
    FAILED,
    NOT_RUN,
    PASSED,
    PORT,
    REPLICAS,
    SCALED,
    SERVICE_PORT,
    Check,
    Pod,
    dialled,
    dns_problems,
    event_lines,
    is_ours,
    node_addresses,
    node_port,
    node_problems,
    objects,
    pod_troubles,
    policy,
    ready_pods,
    repels,
    schedulable,
    table,
    targets,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

Probe = t.Callable[[], t.Optional[str]]

START_SECONDS = 90.0
PROBE_SECONDS = 20.0
PATIENCE_SECONDS = 20.0
SCALE_SECONDS = 30.0
# On a new cluster CoreDNS is still starting.
DNS_SECONDS = 60.0
# A node is asked every 15 seconds, and its first two answers make its first figure.
METRICS_SECONDS = 60.0
# An agent gives up on another after 5 s, and is to be left the time to say so.
ANSWER_SECONDS = 8.0
INTERVAL = 0.3
WORKERS = 16
SHOWN = 4
LINE = 220
_API_NAME = "kubernetes.default"

ADVICE = {
    "nodes": "See `journalctl -u kubelet` on the node, and whether the pod network runs there.",
    "deploy": "See whether an admission webhook or a policy of the cluster refuses it.",
    "pods": "The pods' states and events below say what they wait for; where there are no pods, see kube-controller-manager's logs.",
    "exec": "The API server must reach the kubelet on TCP port 10250 of every node.",
    "port-forward": "The API server must reach the kubelet on TCP port 10250 of every node.",
    "logs": "The API server must reach the kubelet on TCP port 10250 of every node.",
    "pod-network": "The pod network must carry packets between the nodes: for vxlan UDP port 8472 (flannel) or 4789 (Calico) must be open.",
    "service": "See the logs of kube-proxy: `kubectl -n kube-system logs -l k8s-app=kube-proxy`.",
    "node-port": "See kube-proxy's logs, and whether a firewall closes the NodePort range.",
    "scale": "See `kubectl -n kube-system logs -l component=kube-controller-manager`.",
    "dns": "See `kubectl -n kube-system get service,endpointslices,pods -l k8s-app=kube-dns` and CoreDNS' logs.",
    "network-policy": "See the logs of calico-node on the node of the pod: `kubectl -n kube-system logs -l k8s-app=calico-node`.",
    "clean-up": "See `kubectl get namespace -o yaml` of it: its conditions name what is left.",
    "coredns": "See `kubectl -n kube-system logs deployment/coredns` and the pods' events.",
    "metrics": "See `kubectl -n kube-system logs deployment/metrics-server` and `kubectl describe apiservice v1beta1.metrics.k8s.io`.",
}
"""Where to look first when a check fails, in the order of the checks."""
CHECKS = tuple(ADVICE)
_AFTER_CLEAN_UP = CHECKS.index("clean-up")


class PodForward(t.Protocol):
    """A way to a pod's HTTP port that does not lead through the pod network."""

    @property
    def url(self) -> str: ...

    def open(self) -> None: ...

    def close(self) -> None: ...


class ClusterAccess(t.Protocol):
    """What the test needs of a cluster; _smoke_cluster.Cluster gives it."""

    namespace: str

    def get(self, *args: str) -> t.List[Object]: ...

    def create(self, objects: t.Sequence[Object]) -> None: ...

    def scale(self, deployment: str, replicas: int) -> None: ...

    def delete(self, kind: str, name: str) -> None: ...

    def delete_namespace(self) -> None: ...

    def forget_pods(self) -> None: ...

    def execute(self, pod: str, *command: str) -> Outcome: ...

    def logs(self, pod: str) -> str: ...

    def forward(self, pod: str) -> PodForward: ...


class Settings(t.NamedTuple):
    """What the user chooses."""

    image: str
    nodes: t.Sequence[str] = ()
    dns_domain: str = "cluster.local"
    timeout: float = 180.0
    cleanup_timeout: float = 60.0
    metrics: bool = False
    policies: bool = False


class SmokeTest:
    """One run of the test."""

    def __init__(
        self,
        cluster: ClusterAccess,
        settings: Settings,
        fetch: t.Callable[[str, float], str],
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.cluster = cluster
        self.settings = settings
        self.fetch = fetch
        self.clock = clock
        self.sleep = sleep
        self.checks: t.List[Check] = []
        self.diagnosis: t.List[str] = []
        self._end = clock() + settings.timeout
        self._nodes: t.List[Object] = []
        # All that may answer for the service, and those of them on the nodes that are tested.
        self._agents: t.List[Pod] = []
        self._pods: t.List[Pod] = []
        self._executing: t.List[Pod] = []
        self._forwards: t.Dict[str, str] = {}
        self._exits = contextlib.ExitStack()

    @property
    def ok(self) -> bool:
        """Whether all was run and worked."""
        return all(check.ok for check in self.checks)

    def run(self) -> None:
        """Run all checks and clean up, also after a failure or an interruption."""
        self._refuse_foreign_namespace()
        try:
            self._run_checks()
            if not self.ok:
                self._diagnose()
        finally:
            self._exits.close()
            self._check("clean-up", self._clean_up)
        # One CoreDNS pod is enough for all before. The others are probed every ten seconds, which pass while the namespace goes.
        last = [self._check("coredns", self._check_coredns)]
        if self.settings.metrics:
            last.append(self._check("metrics", self._check_metrics))
        if not all(last):
            self._diagnose()

    def message(self) -> str:
        """The checks as a table, with advice and what was seen where some failed."""
        lines = table(self.checks)
        advice = [f"{check.name}: {ADVICE[check.name]}" for check in self.checks if check.status == FAILED]
        return "\n".join([*lines, *([""] if advice else []), *advice, *self.diagnosis])

    def _run_checks(self) -> None:
        self._check("nodes", self._check_nodes)
        if not self._check("deploy", self._deploy):
            self._leave_out("nothing could be deployed", *CHECKS[2:_AFTER_CLEAN_UP])
            return
        self._check("pods", self._check_pods)
        if not self._pods:
            self._leave_out("no pod of the test runs", *CHECKS[3:_AFTER_CLEAN_UP])
            return
        self._check("exec", self._check_exec)
        self._check("port-forward", self._check_forward)
        self._check("logs", self._check_logs)
        if self._forwards:
            self._check("pod-network", self._check_pod_network)
            self._check("service", self._check_service)
        else:
            self._leave_out("no pod could be asked through a port-forward", "pod-network", "service")
        self._check("node-port", self._check_node_port)
        self._check("scale", self._check_scale)
        if self._executing or self._forwards:
            self._check("dns", self._check_dns)
        else:
            self._leave_out("no pod could be asked", "dns")
        if self.settings.policies and self._executing:
            self._check("network-policy", self._check_policy)
        else:
            self._leave_out("no pod could be asked", "network-policy")

    def _check(self, name: str, check: t.Callable[[], str]) -> bool:
        begun = self.clock()
        try:
            status, detail = PASSED, check()
        except WaitTimeoutError as timeout:
            status, detail = FAILED, str(timeout.last) if isinstance(timeout.last, str) else timeout.message
        except KubesteadError as error:
            status, detail = FAILED, error.message
        self.checks.append(Check(name, status, self.clock() - begun, detail))
        return status == PASSED

    def _leave_out(self, reason: str, *names: str) -> None:
        expected = [name for name in names if name != "network-policy" or self.settings.policies]
        self.checks += [Check(name, NOT_RUN, 0.0, reason) for name in expected]

    def _remaining(self, limit: float) -> float:
        return max(min(limit, self._end - self.clock()), 1.0)

    def _wait(self, what: str, look: t.Callable[[], str], limit: float) -> None:
        """Wait until look finds nothing to complain of."""
        wait_for(look, lambda complaint: not complaint, what, limit, INTERVAL, clock=self.clock, sleep=self.sleep)

    def _ask(self, probes: t.Mapping[str, Probe], seconds: float = PROBE_SECONDS) -> t.Dict[str, str]:
        """Run probes side by side, and those that failed again, until none fails or the time is over; what is left."""
        open_probes = dict(probes)
        limit = self.clock() + self._remaining(seconds)
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            while True:
                answers = dict(zip(open_probes, pool.map(_attempt, open_probes.values())))
                complaints = {label: answer for label, answer in answers.items() if answer}
                if not complaints or self.clock() + INTERVAL > limit:
                    return complaints
                open_probes = {label: open_probes[label] for label in complaints}
                self.sleep(INTERVAL)

    def _probe(self, probes: t.Mapping[str, Probe], seconds: float = PROBE_SECONDS) -> None:
        """Ask, and raise what is left."""
        complaints = self._ask(probes, seconds)
        if complaints:
            raise KubesteadError(_listed(complaints, len(probes)))

    def _refuse_foreign_namespace(self) -> None:
        name = self.cluster.namespace
        for namespace in self.cluster.get("namespace", name):
            if not is_ours(namespace):
                raise KubesteadError(
                    f"The namespace {name} exists and is not the smoke test's, which would delete it. "
                    "Give the test another one by its option namespace."
                )
            self._clean_up()

    def _check_nodes(self) -> str:
        def look() -> str:
            self._nodes = self.cluster.get("nodes")
            return "; ".join(node_problems(self._nodes, self.settings.nodes))

        self._wait("the nodes to be ready", look, self._remaining(START_SECONDS))
        return f"{_nodes(self.settings.nodes or self._nodes)} Ready"

    def _deploy(self) -> str:
        deployed = objects(self.cluster.namespace, self.settings.image)
        self.cluster.create(deployed)
        return f"{len(deployed)} objects"

    def _check_coredns(self) -> str:
        def look() -> str:
            found = self.cluster.get("--namespace", "kube-system", "deployment/coredns", "service/kube-dns")
            return "; ".join(dns_problems(found, self.cluster.get("nodes")))

        # Where names were not resolved, that was waited for long enough.
        unresolved = any(check.name == "dns" and check.status == FAILED for check in self.checks)
        self._wait("CoreDNS", look, 1.0 if unresolved else self._remaining(START_SECONDS))
        return "available"

    def _check_metrics(self) -> str:
        wanted = self.settings.nodes or [node["metadata"]["name"] for node in self._nodes]

        def look() -> str:
            try:
                measured = {item["metadata"]["name"] for item in self.cluster.get("nodes.metrics.k8s.io")}
            except KubesteadError as error:
                return _short(error.message)
            bare = sorted({*wanted} - measured)
            return f"no metrics of {', '.join(bare)}" if bare else ""

        self._wait("metrics", look, self._remaining(METRICS_SECONDS))
        return f"of {_nodes(wanted)}"

    def _check_pods(self) -> str:
        hosts = schedulable(self._nodes, self.settings.nodes)
        if not hosts:
            raise KubesteadError("No node takes ordinary pods: all are cordoned or tainted.")

        def look() -> str:
            self._agents = ready_pods(self._get("pods"), AGENTS)
            self._pods = [pod for pod in self._agents if pod.node in hosts]
            bare = sorted(set(hosts) - {pod.node for pod in self._pods})
            return f"no ready pod on {', '.join(bare)}" if bare else ""

        self._wait("a pod on every node", look, self._remaining(START_SECONDS))
        skipped = [node["metadata"]["name"] for node in self._nodes if repels(node)]
        return f"on {_nodes(hosts)}" + (f", not on {', '.join(skipped)}" if skipped else "")

    def _get(self, *args: str) -> t.List[Object]:
        return self.cluster.get("--namespace", self.cluster.namespace, *args)

    def _check_exec(self) -> str:
        complaints = self._ask({f"on {pod.node}": functools.partial(self._execute, pod) for pod in self._pods})
        self._executing = [pod for pod in self._pods if f"on {pod.node}" not in complaints]
        if complaints:
            raise KubesteadError(_listed(complaints, len(self._pods)))
        return f"in a pod on {_nodes(self._pods)}"

    def _execute(self, pod: Pod) -> t.Optional[str]:
        # The pod asks itself: whether it reaches others is another check's affair.
        outcome = self.cluster.execute(pod.name, "/agnhost", "connect", "--timeout=5s", f"127.0.0.1:{PORT}")
        return None if outcome.rc == 0 else outcome.stderr or f"exit code {outcome.rc}"

    def _check_forward(self) -> str:
        forwards = {pod: self.cluster.forward(pod.name) for pod in self._pods}
        for forward in forwards.values():
            self._exits.callback(forward.close)
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            answers = dict(zip(forwards, pool.map(_attempt, [forward.open for forward in forwards.values()])))
        complaints = {f"to {pod.node}": answer for pod, answer in answers.items() if answer}
        asked = [pod for pod, answer in answers.items() if not answer]
        self._forwards = {pod.name: forwards[pod].url for pod in asked}
        self._probe(
            {f"to {pod.node}": functools.partial(self._hostname, self._forwards[pod.name], [pod]) for pod in asked}
        )
        if complaints:
            raise KubesteadError(_listed(complaints, len(self._pods)))
        return f"to a pod on {_nodes(self._pods)}"

    @property
    def _forwarded(self) -> t.List[Pod]:
        return [pod for pod in self._pods if pod.name in self._forwards]

    def _hostname(self, url: str, pods: t.Sequence[Pod]) -> t.Optional[str]:
        answer = self.fetch(f"{url}/hostname", ANSWER_SECONDS).strip()
        return None if answer in [pod.name for pod in pods] else f"{answer!r} answered instead"

    def _check_logs(self) -> str:
        marker = secrets.token_hex(8)
        for url in self._forwards.values():
            with contextlib.suppress(OSError):
                self.fetch(f"{url}/echo?msg={marker}", ANSWER_SECONDS)
        self._probe({f"of {pod.node}": functools.partial(self._read_logs, pod, marker) for pod in self._pods})
        return f"of a pod on {_nodes(self._pods)}"

    def _read_logs(self, pod: Pod, marker: str) -> t.Optional[str]:
        expected = marker if pod.name in self._forwards else "Started HTTP server"
        return None if expected in self.cluster.logs(pod.name) else "what the pod must have written is not in its log"

    def _dial(self, pod: Pod, host: str, port: int, expected: t.Sequence[Pod]) -> t.Optional[str]:
        query = urlencode({"host": host, "port": port, "protocol": "http", "request": "hostname", "tries": 1})
        answer = self.fetch(f"{self._forwards[pod.name]}/dial?{query}", ANSWER_SECONDS)
        return dialled(answer, [other.name for other in expected])

    def _check_dns(self) -> str:
        full_name = f"{AGENTS}.{self.cluster.namespace}.svc.{self.settings.dns_domain}"
        probes: t.Dict[str, Probe] = {}
        for pod in self._executing:
            probes[f"{_API_NAME} from {pod.node}"] = functools.partial(self._resolve, pod)
        for pod in self._forwarded:
            for name in (AGENTS, full_name):
                probes[f"{name} from {pod.node}"] = functools.partial(self._dial_name, pod, name)
        self._probe(probes, DNS_SECONDS)
        return f"3 names from {_nodes({*self._executing, *self._forwarded})}"

    def _resolve(self, pod: Pod) -> t.Optional[str]:
        outcome = self.cluster.execute(pod.name, "/agnhost", "connect", "--timeout=5s", f"{_API_NAME}:443")
        return None if outcome.rc == 0 else outcome.stderr or f"exit code {outcome.rc}"

    def _dial_name(self, pod: Pod, name: str) -> t.Optional[str]:
        """Only what keeps a name from being resolved; whether the service then answers is another check's affair."""
        complaint = self._dial(pod, name, SERVICE_PORT, self._agents)
        return complaint if complaint and "lookup" in complaint else None

    def _check_pod_network(self) -> str:
        pairs = [(pod, other) for pod, other in targets(self._pods) if pod.name in self._forwards]
        if not pairs:
            return "one node only, nobody to reach"
        self._probe(
            {
                f"from {pod.node} to {other.node}": functools.partial(self._dial, pod, other.address, PORT, [other])
                for pod, other in pairs
            }
        )
        return f"{_count(len(pairs), 'way')} between {_nodes(self._pods)}"

    def _check_service(self) -> str:
        address = str(self._get(f"service/{AGENTS}")[0]["spec"]["clusterIP"])
        asked = self._forwarded
        dials = {pod: functools.partial(self._dial, pod, address, SERVICE_PORT, self._agents) for pod in asked}
        self._probe({f"{address} from {pod.node}": dial for pod, dial in dials.items()})
        return f"{address} from {_nodes(asked)}"

    def _check_node_port(self) -> str:
        port = node_port(self._get(f"service/{AGENTS}"))
        addresses = node_addresses(self._nodes, self.settings.nodes)
        self._probe(
            {
                f"{address}:{port} ({name})": functools.partial(self._hostname, _url(address, port), self._agents)
                for name, address in addresses.items()
            }
        )
        return f"port {port} of {_nodes(addresses)}"

    def _check_policy(self) -> str:
        """That a policy keeps a pod from one on another node, and that it is the policy that does."""
        pair = next(iter(targets(self._executing, 1)), None)
        if not pair:
            return "one node only, nobody to keep out"
        asking, asked = pair
        way = f"{asked.node} from {asking.node}"
        self.cluster.create([policy(self.cluster.namespace)])
        self._wait(
            "the policy",
            lambda: f"the pod on {way} is reached in spite of a policy" if self._reaches(asking, asked) else "",
            self._remaining(PROBE_SECONDS),
        )
        self.cluster.delete("networkpolicy", AGENTS)
        self._wait(
            "the policy's end",
            lambda: (
                "" if self._reaches(asking, asked) else f"the pod on {way} is out of reach after the policy was deleted"
            ),
            self._remaining(PROBE_SECONDS),
        )
        return f"{way}, shut and open again"

    def _reaches(self, asking: Pod, asked: Pod) -> bool:
        address = f"[{asked.address}]" if ":" in asked.address else asked.address
        outcome = self.cluster.execute(asking.name, "/agnhost", "connect", "--timeout=1s", f"{address}:{PORT}")
        return outcome.rc == 0

    def _check_scale(self) -> str:
        self.cluster.scale(SCALED, REPLICAS)

        def look() -> str:
            ready = len(ready_pods(self._get("pods"), SCALED))
            return "" if ready >= REPLICAS else f"{ready} of {REPLICAS} pods are ready"

        self._wait("a further pod", look, self._remaining(SCALE_SECONDS))
        return f"from 1 to {REPLICAS} pods"

    def _clean_up(self) -> str:
        name = self.cluster.namespace
        self.cluster.delete_namespace()

        def look() -> str:
            left = self.cluster.get("namespace", name)
            return f"the namespace {name} is still there" if left else ""

        try:
            self._wait("the namespace to be gone", look, min(PATIENCE_SECONDS, self.settings.cleanup_timeout))
        except WaitTimeoutError:
            # A node that is dead never says that its pods have ended. When it comes back it ends them by itself.
            self.cluster.forget_pods()
            self._wait("the namespace to be gone", look, max(self.settings.cleanup_timeout - PATIENCE_SECONDS, 0))
        return f"{name} is gone"

    def _diagnose(self) -> None:
        with contextlib.suppress(KubesteadError):
            self.diagnosis += node_problems(self.cluster.get("nodes"), self.settings.nodes)
            self.diagnosis += pod_troubles(self.cluster.get("pods", "--all-namespaces"))
            self.diagnosis += event_lines(self._get("events"))
        self.diagnosis = list(dict.fromkeys(self.diagnosis))


def _attempt(probe: Probe) -> t.Optional[str]:
    try:
        return probe()
    except KubesteadError as error:
        return error.message
    except OSError as error:
        return str(error)


def _listed(complaints: t.Mapping[str, str], count: int) -> str:
    shown = [f"{label}: {_short(complaint)}" for label, complaint in list(complaints.items())[:SHOWN]]
    if len(complaints) > SHOWN:
        shown.append(f"and {len(complaints) - SHOWN} more")
    return f"{len(complaints)} of {count} failed: " + "; ".join(shown)


def _short(complaint: str) -> str:
    line = complaint.strip().partition("\n")[0]
    return line if len(line) <= LINE else f"{line[:LINE]} …"


def _nodes(things: t.Collection[t.Any]) -> str:
    return _count(len(things), "node")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
