"""A web workload of three replicas with a PodDisruptionBudget, and an ordinary client of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from kubestead.lab.engine import Docker

from .cluster import Cluster

NAME = "web"
PORT = 8080
RETRIES = 3
"""How often an ordinary client tries again."""
ATTEMPT = 2.0
"""Seconds that one attempt may take."""
PAUSE = 0.3
"""Seconds before an attempt is repeated, and between two requests."""


def objects(image: str) -> dict[str, Any]:
    """The workload: a pod that is told to end serves on for the seconds in which clients still come to it."""
    labels = {"app": NAME}
    container = {
        "name": NAME,
        "image": image,
        "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": PORT}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
    }
    selector = {"matchLabels": labels}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}
    metadata = {"name": NAME, "namespace": "default"}
    deployment = {"replicas": 3, "selector": selector, "template": template}
    service = {"type": "NodePort", "selector": labels, "ports": [{"port": 80, "targetPort": PORT}]}
    items = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"minAvailable": 2, "selector": selector},
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


class Workload:
    """The workload in a cluster, asked all the time through a node port. Entering makes it, leaving removes it.

    :ivar requests: how many were made.
    :ivar failed: those that failed although they were repeated.
    :ivar attempts: attempts that failed, by reason.
    """

    def __init__(self, cluster: Cluster, image: str, entrance: str) -> None:
        self.cluster = cluster
        self.image = image
        self.entrance = entrance
        self.requests = 0
        self.failed: list[str] = []
        self.attempts: Counter[str] = Counter()
        self.port = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="an ordinary client")

    def __enter__(self) -> Self:
        self._kubectl("apply", "-f", "-", stdin=json.dumps(objects(self.image)))
        self._kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=90s")
        self.port = self.cluster.kubectl("get", "service", NAME)["spec"]["ports"][0]["nodePort"]
        self.cluster.wait_for(lambda: not self._attempt())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._kubectl("delete", f"deployment/{NAME}", f"service/{NAME}", f"poddisruptionbudget/{NAME}")

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> None:
        container = self.cluster.container(self.cluster.control_planes[0])
        command = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments)
        Docker()("exec", *(() if stdin is None else ("--interactive",)), container, *command, stdin=stdin, timeout=120)

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            self.requests += 1
            reason = self._attempt()
            for _ in range(RETRIES):
                if not reason:
                    break
                self.attempts[reason] += 1
                time.sleep(PAUSE)
                reason = self._attempt()
            if reason:
                self.failed.append(reason)

    def _attempt(self) -> str:
        """Why an attempt failed; empty where it succeeded."""
        connection = http.client.HTTPConnection(self.entrance, self.port, timeout=ATTEMPT)
        try:
            connection.request("GET", "/hostname")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "" if status == 200 else f"status {status}"
