# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upstream's conformance suite as data: the pod it runs in, the specs that are chosen, how far it has come and what it found."""

from __future__ import annotations

import json
import re
import typing as t
from xml.etree import ElementTree

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object, is_ready

NAMESPACE = "kubestead-conformance"
POD = "suite"
BINDING = "kubestead-conformance"
FOLDER = "/var/lib/kubestead/conformance"
"""On the node: what the suite writes."""
JUNIT = "junit_01.xml"
LOG = "e2e.log"
RUN_LABEL = "e2e-run"
"""The suite's own label on each namespace that it makes."""

_OWNED = {"kubestead.io/owner": "conformance"}
_GRACE = 300  # seconds between the suite's own end by its time limit and the kubelet's
_REPOSITORIES = "repositories.yaml"
_TAINTS = "kubernetes.io/e2e-"
_SPEC = "[It] "
_LINES = 12
_TAGS = r"( \[[^\]]*\])*$"
_PLANNED = re.compile(r"^Will run (\d+) of \d+ specs", re.MULTILINE)
# A passed spec is a dot, among the marks of those that were skipped; one that failed has a line of its own, and the next is its name.
_MARK = re.compile(r"\u2022(?: \[([A-Z]+)\] \[[0-9.]+ seconds\]\n([^\n]*))?")
_LABELS = re.compile(r" \[[^\[\]]*, [^\[\]]*\]\s*$")  # which ginkgo appends to a spec's name; its tags say the same
_FAILED = ("FAILED", "PANICKED", "TIMEDOUT", "INTERRUPTED", "ABORTED")
_GO_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


class Settings(t.NamedTuple):
    """What is to be run, and how."""

    image: str
    node: str
    focus: str
    timeout: int
    within_conformance: bool
    repositories: t.Mapping[str, str]


class Progress(t.NamedTuple):
    """How far the suite has come, in its own words."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    failures: t.Tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """The specs that have been run."""
        return self.passed + self.failed

    def told(self, seconds: float) -> str:
        """The same in a line."""
        of = f" of {self.total}" if self.total else ""
        minutes, rest = divmod(int(seconds), 60)
        return f"{self.done}{of} specs done, {self.failed} failed, {minutes} min {rest:02d} s"


class Spec(t.NamedTuple):
    """One spec that was run."""

    name: str
    status: str
    seconds: float
    message: str

    def result(self) -> Object:
        """The spec as a module returns it."""
        return self._asdict()


def names_as_focus(names: t.Iterable[str]) -> str:
    """The expression that selects the specs of these names, whose last tags may be left out: releases change them."""
    return "|".join(_GO_SPECIAL.sub(r"\\\1", name) + _TAGS for name in names)


def problem_of_focus(focus: str) -> t.Optional[str]:
    """Why an expression selects nothing that makes sense; None where it may."""
    if not focus.strip():
        return "it is empty"
    try:
        re.compile(focus)
    except re.error as error:
        return f"it is no regular expression: {error}"
    return None


def objects(settings: Settings) -> t.List[Object]:
    """What runs the suite: a pod with an administrator's rights on one node, as upstream runs it."""
    things: t.List[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {**_OWNED, "pod-security.kubernetes.io/enforce": "privileged"},
            },
        },
        _object("v1", "ServiceAccount", POD),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": BINDING, "labels": dict(_OWNED)},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": POD, "namespace": NAMESPACE}],
        },
    ]
    if settings.repositories:
        # JSON is YAML too.
        data = {_REPOSITORIES: json.dumps(dict(settings.repositories))}
        things.append(_object("v1", "ConfigMap", POD, data=data))
    return [*things, _object("v1", "Pod", POD, spec=_pod(settings))]


def _object(version: str, kind: str, name: str, **content: t.Any) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": dict(_OWNED)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _pod(settings: Settings) -> Object:
    ginkgo = [f"--timeout={settings.timeout}s"]
    if settings.within_conformance:
        ginkgo.append("--label-filter=Conformance")
    environment = {
        "E2E_FOCUS": settings.focus,
        "E2E_SKIP": "",
        "E2E_PROVIDER": "local",
        "E2E_PARALLEL": "1",
        "E2E_EXTRA_GINKGO_ARGS": " ".join(ginkgo),
        "RESULTS_DIR": "/results",
        "KUBECONFIG": "",
    }
    mounts = [{"name": "results", "mountPath": "/results"}]
    volumes: t.List[Object] = [{"name": "results", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}]
    if settings.repositories:
        environment["KUBE_TEST_REPO_LIST"] = f"/repositories/{_REPOSITORIES}"
        mounts.append({"name": "repositories", "mountPath": "/repositories"})
        volumes.append({"name": "repositories", "configMap": {"name": POD}})
    return {
        # Where the modules read what it writes. The scheduler has no say: the suite keeps it busy, and some specs are about it.
        "nodeName": settings.node,
        "tolerations": [{"operator": "Exists"}],
        "serviceAccountName": POD,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "activeDeadlineSeconds": settings.timeout + _GRACE,
        "containers": [
            {
                "name": POD,
                "image": settings.image,
                "imagePullPolicy": "IfNotPresent",
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def complaints(
    nodes: t.Sequence[Object], pods: t.Sequence[Object], version: str, wanted: str, running: t.Optional[Object]
) -> t.List[str]:
    """Why the suite is not to be started on this cluster; empty where nothing is in the way.

    pods are those of kube-system, version is the API server's, wanted the suite's, and running the pod of a suite that was started already.
    """
    found = []
    if running is not None:
        since = running["metadata"].get("creationTimestamp", "")
        found.append(
            f"A conformance suite was started in this cluster at {since}, and is there still. Where nobody waits for it any more, "
            "remove it: `kubestead conformance --clean`, or the playbook with -e conformance_clean=true."
        )
    if version.split(".")[:2] != wanted.split(".")[:2]:
        found.append(
            f"The cluster is Kubernetes {version} and the suite is for {wanted}: what a release promises, only its own suite can tell. "
            "Set cluster_kubernetes_version to the release that the cluster has."
        )
    unready = [node["metadata"]["name"] for node in nodes if not is_ready(node)]
    if unready:
        found.append(f"Not Ready: {', '.join(unready)}. `kubestead status` says why.")
    if not any(map(_takes_pods, nodes)):
        found.append(
            "No node takes ordinary pods: all are cordoned or tainted. Join a worker, or let control planes take pods."
        )
    broken = sorted(pod["metadata"]["name"] for pod in pods if not _well(pod))
    if broken:
        found.append(f"Pods of kube-system that are not ready: {', '.join(broken)}.")
    return found


def _takes_pods(node: Object) -> bool:
    spec = node.get("spec", {})
    taints = [taint for taint in spec.get("taints") or [] if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return not spec.get("unschedulable") and not taints


def _well(pod: Object) -> bool:
    ending = bool(pod["metadata"].get("deletionTimestamp"))
    return ending or pod.get("status", {}).get("phase") == "Succeeded" or is_ready(pod)


def read_progress(log: str) -> Progress:
    """How far the suite has come, by the marks that ginkgo sets for specs in its log.

    Its reports to an address (--progress-report-url) would be better to read, but those of 1.36 count no spec.
    """
    planned = _PLANNED.search(log)
    marks = _MARK.findall(log)
    failures = tuple(_LABELS.sub("", name.replace(" [It] ", " ")) for word, name in marks if word in _FAILED)
    return Progress(
        total=int(planned.group(1)) if planned else 0,
        passed=len(marks) - len(failures),
        failed=len(failures),
        failures=failures,
    )


def read_junit(source: t.Union[str, t.IO[bytes]]) -> t.List[Spec]:
    """The specs that were run, and of the suite's own steps those that failed, from its JUnit XML, which lists all that there are."""
    found = []
    try:
        for _event, element in ElementTree.iterparse(source):  # noqa: S314 - written by a pod of ours, on this node
            if element.tag != "testcase":
                continue
            spec = _spec(element)
            element.clear()
            if spec:
                found.append(spec)
    except ElementTree.ParseError as error:
        raise KubesteadError(f"The suite's results are no XML that can be read: {error}") from error
    return found


def _spec(case: ElementTree.Element) -> t.Optional[Spec]:
    name, status = case.get("name", ""), case.get("status", "")
    trouble = next((part for part in case if part.tag in ("failure", "error")), None)
    if status == "skipped" or (trouble is None and not name.startswith(_SPEC)):
        return None
    if trouble is None:
        return Spec(name.removeprefix(_SPEC), "passed", float(case.get("time") or 0), "")
    message = trouble.text or trouble.get("message") or status
    return Spec(name.removeprefix(_SPEC), "failed", float(case.get("time") or 0), shortened(message))


def shortened(message: str) -> str:
    """The part of a failure's message that says what went wrong: the rest is the stack, and what the spec logged before."""
    lines: t.List[str] = []
    for line in message.strip().splitlines():
        if line.startswith(("Full Stack Trace", "> Enter", "There were additional failures")):
            break
        if line.strip():
            lines.append(line.rstrip()[:300])
    return "\n".join(lines[:_LINES] + (["…"] if len(lines) > _LINES else []))


def verdict(specs: t.Sequence[Spec], progress: Progress, ended: str) -> str:
    """What was found, for people: a line with the counts, then each failure with its message.

    ended says why the suite did not come to its own end; empty where it did.
    """
    failed = [spec for spec in specs if spec.status == "failed"]
    passed = sum(spec.status == "passed" for spec in specs)
    if not specs and progress.done:
        counts = f"{progress.passed} passed, {progress.failed} failed"
    else:
        counts = f"{passed} passed, {len(failed)} failed"
    missing = max(progress.total - max(passed + len(failed), progress.done), 0)
    lines = [f"{counts}{f', {missing} not run' if missing else ''} of {progress.total or len(specs)} specs."]
    if ended:
        lines.append(ended)
    for spec in failed:
        lines += ["", f"FAILED {spec.name}", *(f"  {line}" for line in spec.message.splitlines())]
    known = {spec.name for spec in failed}
    lines += [f"FAILED {name}" for name in progress.failures if not specs and name not in known]
    return "\n".join(lines)


def left_behind(kinds: t.Mapping[str, t.Sequence[Object]], since: str) -> t.Dict[str, t.List[str]]:
    """What the suite left in the cluster since it was started, by kind: nothing that was there before, nothing of anybody else.

    Its namespaces carry its label. Webhooks and API services are its own where they lead into one of those, and definitions of kinds where
    their group is an example's.
    """
    spaces = {
        _name(thing)
        for thing in kinds.get("namespaces", ())
        if RUN_LABEL in (thing["metadata"].get("labels") or {}) and _since(thing, since)
    }
    found: t.Dict[str, t.List[str]] = {}
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        found[kind] = [_name(thing) for thing in kinds.get(kind, ()) if spaces & _hook_namespaces(thing)]
    found["apiservices"] = [
        _name(thing)
        for thing in kinds.get("apiservices", ())
        if ((thing.get("spec") or {}).get("service") or {}).get("namespace") in spaces
    ]
    found["customresourcedefinitions"] = [
        _name(thing)
        for thing in kinds.get("customresourcedefinitions", ())
        if _since(thing, since) and str(thing.get("spec", {}).get("group", "")).endswith("example.com")
    ]
    found["namespaces"] = sorted(spaces)
    return {kind: names for kind, names in found.items() if names}


def tainted(nodes: t.Iterable[Object]) -> t.List[t.Tuple[str, str]]:
    """The taints that the suite left on nodes: node and key."""
    return [
        (_name(node), taint["key"])
        for node in nodes
        for taint in node.get("spec", {}).get("taints") or []
        if taint.get("key", "").startswith(_TAINTS)
    ]


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _since(thing: Object, since: str) -> bool:
    # The API server's times are all in UTC and of one form, so that they compare as texts.
    return str(thing["metadata"].get("creationTimestamp") or "") >= since


def _hook_namespaces(configuration: Object) -> t.Set[str]:
    services = [(hook.get("clientConfig") or {}).get("service") or {} for hook in configuration.get("webhooks") or []]
    return {str(service["namespace"]) for service in services if "namespace" in service}
