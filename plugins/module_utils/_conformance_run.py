# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start upstream's conformance suite in a cluster, watch it, and take away what it leaves."""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import shutil
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _conformance as suite
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object, pod_troubles
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl

_LOOK_EVERY = 3.0
_TOLD = "told"
_PULL_PATIENCE = 180.0
_KINDS = (
    *("namespaces", "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "apiservices"),
    "customresourcedefinitions",
)


class Seen(t.NamedTuple):
    """The suite at one moment. ended says why it came to no end of its own, empty where it did or runs still."""

    progress: suite.Progress
    finished: bool
    seconds: float
    ended: str = ""


class Cluster:
    """A cluster and its suite, seen from the control plane that the suite runs on."""

    def __init__(self, kubectl: Kubectl, folder: str = suite.FOLDER) -> None:
        self.kubectl = kubectl
        self.folder = folder

    def obstacles(self, wanted: str) -> t.List[str]:
        """Why the suite of this version is not to be started now."""
        version: Object = next(iter(self.kubectl.run_json("version", "-o", "json")), {})
        return suite.complaints(
            self.kubectl.get("nodes"),
            self.kubectl.get("pods", "--namespace", "kube-system"),
            str(version.get("serverVersion", {}).get("gitVersion", "")).lstrip("v"),
            wanted,
            self.pod(),
        )

    def pod(self) -> t.Optional[Object]:
        """The pod that runs the suite."""
        return next(iter(self.kubectl.get("pod", suite.POD, "--namespace", suite.NAMESPACE)), None)

    def start(self, settings: suite.Settings) -> None:
        """Start the suite."""
        self.forget()
        os.makedirs(self.folder, mode=0o755)
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": suite.objects(settings)})
        self.kubectl.run("apply", "--server-side", "--field-manager", "kubestead", "-f", "-", data=document)

    def watch(self, seconds: float, sleep: t.Callable[[float], None] = time.sleep) -> t.Tuple[Seen, t.Tuple[str, ...]]:
        """Wait so long, or until the suite has ended or a spec failed; what was seen last, and the failures that are new."""
        start, told = time.monotonic(), self._told()
        seen = self._look()
        while not seen.finished and seen.progress.failed <= told and time.monotonic() - start < seconds:
            sleep(min(_LOOK_EVERY, seconds))
            seen = self._look()
        # Where somebody has taken the folder away, the suite is gone too, and that is told.
        with contextlib.suppress(OSError), open(os.path.join(self.folder, _TOLD), "w", encoding="utf-8") as file:
            file.write(str(seen.progress.failed))
        return seen, seen.progress.failures[told:]

    def _told(self) -> int:
        """How many failures have been told of before."""
        try:
            with open(os.path.join(self.folder, _TOLD), encoding="utf-8") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def _look(self) -> Seen:
        pod, progress = self.pod(), self._progress()
        if pod is None:
            return Seen(progress, True, 0.0, "The suite's pod is gone: somebody has deleted it.")
        status = pod.get("status", {})
        phase = status.get("phase")
        began = _moment(status.get("startTime") or pod["metadata"]["creationTimestamp"])
        ended = max((_ended(one) for one in status.get("containerStatuses") or []), default=0.0)
        seconds = max((ended or time.time()) - began, 0.0)
        if phase in ("Succeeded", "Failed"):
            return Seen(progress, True, seconds, self._why(status) if phase == "Failed" else "")
        if phase == "Pending" and seconds > _PULL_PATIENCE:
            trouble = "; ".join(pod_troubles([pod])) or "its container is not started"
            return Seen(progress, True, seconds, f"The suite did not start within {_PULL_PATIENCE:.0f} s: {trouble}")
        return Seen(progress, False, seconds)

    def _why(self, status: Object) -> str:
        """Why a pod failed that did not come to its end; empty where the suite did, and only found failures."""
        if status.get("reason"):  # evicted, or over its deadline
            return f"The suite's pod was ended: {status['reason']}. {status.get('message', '')}".rstrip()
        if os.path.exists(os.path.join(self.folder, suite.JUNIT)):
            return ""
        logs = self.kubectl.run("logs", "--namespace", suite.NAMESPACE, suite.POD, "--tail=15", check=False).stdout
        return f"The suite ended without results. Its last words:\n{logs.strip()}"

    def _progress(self) -> suite.Progress:
        try:
            with open(os.path.join(self.folder, suite.LOG), encoding="utf-8", errors="replace") as file:
                return suite.read_progress(file.read())
        except OSError:
            return suite.Progress()

    def results(self) -> t.Tuple[t.List[suite.Spec], Seen]:
        """What the suite found, as far as it came."""
        seen = self._look()
        path = os.path.join(self.folder, suite.JUNIT)
        specs = suite.read_junit(path) if os.path.exists(path) else []
        if not seen.finished:
            seen = seen._replace(ended="The suite was stopped before its end.")
        return specs, seen

    def files(self) -> t.List[str]:
        """The files with results that there are, those that a submission to the CNCF needs."""
        paths = (os.path.join(self.folder, name) for name in (suite.LOG, suite.JUNIT))
        return [path for path in paths if os.path.exists(path)]

    def remains(self) -> t.List[str]:
        """What there is of the suite, as :meth:`clean` would take it away."""
        return _named(*self._remains())

    def _remains(self) -> t.Tuple[t.Dict[str, t.List[str]], t.List[t.Tuple[str, str]]]:
        """What there is of the suite: objects by kind, and taints of nodes."""
        own = next(iter(self.kubectl.get("namespace", suite.NAMESPACE)), None)
        found: t.Dict[str, t.List[str]] = {}
        if own is not None:
            kinds = {kind: self.kubectl.get(kind) for kind in _KINDS}
            found = suite.left_behind(kinds, str(own["metadata"]["creationTimestamp"]))
            found["namespaces"] = [*found.get("namespaces", []), suite.NAMESPACE]
        if self.kubectl.get("clusterrolebinding", suite.BINDING):
            found["clusterrolebindings"] = [suite.BINDING]
        return found, suite.tainted(self.kubectl.get("nodes")) if own is not None else []

    def clean(self, timeout: float) -> t.List[str]:
        """Take away the suite and all that it left; returns what went, as kind/name. What hinders raises."""
        deadline = time.monotonic() + timeout
        # While it runs, it makes more.
        here = ("--namespace", suite.NAMESPACE, "--ignore-not-found")
        self.kubectl.run("delete", "pod", suite.POD, *here, "--wait=false")
        wait_for(self.pod, lambda pod: pod is None, "the suite's pod to end", 60, 1, lambda pod: "it is there still")
        found, taints = self._remains()
        for kind, names in found.items():
            # Its own namespace is the mark by which the others are found, should this be broken off.
            others = [name for name in names if (kind, name) != ("namespaces", suite.NAMESPACE)]
            if others:
                self.kubectl.run("delete", kind, *others, "--ignore-not-found", "--wait=false")
        for node, key in taints:
            self.kubectl.run("taint", "node", node, f"{key}-", check=False)
        self._wait_gone([name for name in found.get("namespaces", []) if name != suite.NAMESPACE], deadline)
        self.kubectl.run("delete", "namespace", suite.NAMESPACE, "--ignore-not-found", "--wait=false")
        self._wait_gone([suite.NAMESPACE], deadline)
        self.forget()
        return _named(found, taints)

    def _wait_gone(self, names: t.Sequence[str], deadline: float) -> None:
        if not names:
            return

        def left() -> t.List[Object]:
            return [thing for thing in self.kubectl.get("namespaces") if thing["metadata"]["name"] in names]

        def describe(things: t.List[Object]) -> str:
            return "; ".join(f"{thing['metadata']['name']} {_hindrance(thing)}".strip() for thing in things)

        remaining = max(deadline - time.monotonic(), 1.0)
        wait_for(left, lambda things: not things, "namespaces of the suite to go", remaining, 1, describe)

    def forget(self) -> None:
        """Remove what the suite wrote on this node."""
        try:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise KubesteadError(f"{self.folder} cannot be removed: {error}") from error


def _named(found: t.Mapping[str, t.Sequence[str]], taints: t.Sequence[t.Tuple[str, str]]) -> t.List[str]:
    things = [f"{kind}/{name}" for kind, names in found.items() for name in names]
    return [*things, *(f"taint {key} of {node}" for node, key in taints)]


def _moment(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))


def _ended(container: Object) -> float:
    finished = (container.get("state", {}).get("terminated") or {}).get("finishedAt")
    return _moment(finished) if finished else 0.0


def _hindrance(namespace: Object) -> str:
    """What keeps a namespace from going, by its own word."""
    conditions = namespace.get("status", {}).get("conditions") or []
    said = [one.get("message", "") for one in conditions if one.get("status") == "True"]
    return f"({'; '.join(said)})" if said else ""
