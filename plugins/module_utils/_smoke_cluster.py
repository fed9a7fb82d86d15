# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smoke test's ways into a cluster: kubectl, and plain HTTP from the node it runs on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import threading
import time
import typing as t
import urllib.error
import urllib.request

from ansible_collections.kubestead.cluster.plugins.module_utils._command import (
    KubesteadError,
    Outcome,
    Tool,
    last_lines,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke import PORT

EXEC_SECONDS = 20.0
FORWARD_SECONDS = 10.0
FORWARD_LIFE_SECONDS = 300


class Cluster:
    """One cluster, seen from a control plane of it."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl = kubectl
        self.namespace = namespace

    def get(self, *args: str) -> t.List[Object]:
        """Objects of any namespace; those that do not exist are left out."""
        return self.kubectl.get(*args)

    def create(self, objects: t.Sequence[Object]) -> None:
        """Create objects, or bring those that exist to what is wanted."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl.run("apply", "--server-side", "--field-manager", "kubestead", "-f", "-", data=document)

    def scale(self, deployment: str, replicas: int) -> None:
        """Set the number of a Deployment's pods."""
        self.kubectl.run("scale", "--namespace", self.namespace, f"deployment/{deployment}", f"--replicas={replicas}")

    def delete(self, kind: str, name: str) -> None:
        """Delete an object of the test's namespace."""
        self.kubectl.run("delete", "--namespace", self.namespace, kind, name, "--ignore-not-found", "--wait=false")

    def delete_namespace(self) -> None:
        """Begin to delete the namespace and all that is in it."""
        self.kubectl.run("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        # Its controller looks at the namespace only after five seconds. Pods that end meanwhile do not cost a second look.
        self.kubectl.run("delete", "--namespace", self.namespace, "daemonset,deployment", "--all", "--wait=false")

    def forget_pods(self) -> None:
        """Delete the pods from the API server without waiting until their nodes have ended them."""
        self.kubectl.run("delete", "--namespace", self.namespace, "pods", "--all", "--grace-period=0", "--force")

    def execute(self, pod: str, *command: str) -> Outcome:
        """Run a command in a pod; an exit code other than zero is an answer and no error."""
        # Kubectl.run appends its flags, which would land in the pod.
        connection = ("--kubeconfig", self.kubectl.kubeconfig, "--namespace", self.namespace)
        arguments = (*connection, "exec", pod, "--", *command)
        try:
            return Tool.run(self.kubectl, *arguments, check=False, timeout=EXEC_SECONDS)
        except KubesteadError as error:
            raise KubesteadError(f"no answer within {EXEC_SECONDS:g} s") from error

    def logs(self, pod: str) -> str:
        """What a pod has written."""
        outcome = self.kubectl.run("logs", "--namespace", self.namespace, pod, check=False, timeout=EXEC_SECONDS)
        if outcome.rc != 0:
            raise KubesteadError(last_lines(outcome.stderr, 1))
        return outcome.stdout

    def forward(self, pod: str) -> Forward:
        """A forward to a pod's HTTP port, not opened yet."""
        return Forward(self.kubectl, self.namespace, pod)


class Forward:
    """A running C(kubectl port-forward) from a free port of the loopback interface."""

    def __init__(self, kubectl: Kubectl, namespace: str, pod: str) -> None:
        self.kubectl = kubectl
        self.pod = pod
        self.port = _free_port()
        self._process: t.Optional[subprocess.Popen[bytes]] = None
        self._said = ""
        self._thread = threading.Thread(target=self._run, args=(namespace,), daemon=True)

    @property
    def url(self) -> str:
        """Where the pod now answers."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Start it and wait until it listens."""
        self._thread.start()
        limit = time.monotonic() + FORWARD_SECONDS
        while time.monotonic() < limit and self._thread.is_alive():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        self.close()
        raise KubesteadError(f"kubectl port-forward to {self.pod} did not listen: {self._said or 'it said nothing'}")

    def close(self) -> None:
        """End it, where it was ever started."""
        if self._process:
            self._process.terminate()
        if self._thread.ident:
            self._thread.join(FORWARD_SECONDS)

    def _run(self, namespace: str) -> None:
        # It ends by itself too, should this process be killed before it can end it.
        limited = ["timeout", str(FORWARD_LIFE_SECONDS), self.kubectl.path, "--kubeconfig", self.kubectl.kubeconfig]
        _rc, stdout, stderr = self.kubectl.module.run_command(
            [
                *limited,
                "--namespace",
                namespace,
                "port-forward",
                "--address=127.0.0.1",
                f"pod/{self.pod}",
                f"{self.port}:{PORT}",
            ],
            environ_update=self.kubectl.environment,
            before_communicate_callback=self._started,
            errors="surrogate_then_replace",
            expand_user_and_vars=False,
        )
        self._said = last_lines(stderr or stdout, 3)

    def _started(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, timeout: float) -> str:
    """The body that a GET of this address brings, whatever its status; raises OSError where none comes.

    Proxies of the environment are passed over: all addresses are the cluster's own.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return str(response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode("utf-8", "replace")
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error
    except http.client.HTTPException as error:
        raise OSError(f"the answer is no HTTP: {error!r}") from error
