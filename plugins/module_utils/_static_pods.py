# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The static pods of a control plane: which containers run, whether they are healthy, and restarting them one by one."""

from __future__ import annotations

import http.client
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import static_pod_trouble
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._servers import Servers
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import unverified
from ansible_collections.kubestead.cluster.plugins.module_utils._tools import Crictl
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFESTS = "/etc/kubernetes/manifests"
# In the order in which they are restarted: what is further down needs what is above it.
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Seconds in which a container may end by itself. The kubelet gives 30, of which the API server spends the most waiting for
# watches that nobody ends; what it answers ordinarily has ended by then.
_GRACE = {"kube-apiserver": 10}
_DEFAULT_GRACE = 30


class StaticPods:
    """The static pods that kubeadm made on this node."""

    def __init__(self, module: AnsibleModule, state: t.Optional[KubernetesState] = None) -> None:
        self.crictl = Crictl(module)
        self.state = state or KubernetesState()

    @property
    def names(self) -> list[str]:
        """Those that this node has, in the order in which they are restarted."""
        return [name for name in NAMES if name in self.state.static_pods]

    def chosen(self, names: t.Sequence[str]) -> list[str]:
        """The named ones in that order, all where none is named; raises for one that this node has not."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise KubesteadError(
                f"This node has no static pod {' and no '.join(missing)}: {MANIFESTS} holds "
                f"{', '.join(self.names) or 'none of the control plane'}. Nothing was restarted."
            )
        return [name for name in self.names if not names or name in names]

    def container(self, name: str) -> t.Optional[str]:
        """The id of the container that runs for a pod; None where none does."""
        running = self._running(name)
        return str(running["id"]) if running else None

    def started(self, name: str) -> t.Optional[float]:
        """When that container was made, in seconds of the epoch."""
        running = self._running(name)
        return int(running["createdAt"]) / 1e9 if running else None

    def _running(self, name: str) -> t.Optional[dict[str, t.Any]]:
        running = [item for item in self._containers(name) if item["state"] == "CONTAINER_RUNNING"]
        return max(running, key=lambda item: int(item["createdAt"]), default=None)

    def attempts(self, name: str, old: t.Optional[str]) -> int:
        """How often the container that came after an old one was started again."""
        newest = max(self._containers(name), key=lambda item: int(item["createdAt"]), default=None)
        return int(newest["metadata"].get("attempt", 0)) if newest and newest["id"] != old else 0

    def restart(self, names: t.Sequence[str], timeout: float) -> list[dict[str, t.Any]]:
        """Restart pods one after another; each must be healthy within so many seconds before the next one follows."""
        done: list[dict[str, t.Any]] = []
        for name in names:
            begun = time.monotonic()
            try:
                old = self.container(name)
                self._stop(name)
                container = self.wait_for_new(name, old, timeout)
            except KubesteadError as error:
                raise _with_progress(error, [item["name"] for item in done], names[len(done) + 1 :]) from error
            done.append({"name": name, "container": container, "seconds": round(time.monotonic() - begun, 1)})
        return done

    def wait_for_new(self, name: str, old: t.Optional[str], timeout: float) -> str:
        """Wait until a container other than the old one runs and is healthy; gives its id."""

        def look() -> tuple[t.Optional[str], str]:
            container = self.container(name)
            if container is None:
                return None, "no container of it runs"
            if container == old:
                return None, "the old container still runs"
            return container, self.complaint(name)

        try:
            container, _complaint = wait_for(
                look,
                lambda seen: seen[0] is not None and not seen[1],
                f"a new and healthy {name}",
                timeout,
                interval=0.2,
                describe=lambda seen: f"{seen[1]}.",
            )
        except WaitTimeoutError as error:
            said = static_pod_trouble().get(name, [])
            lines = [error.message, *([f"{name}'s last complaints:"] if said else []), *(f"  {line}" for line in said)]
            lines.append("See `crictl ps -a` and `journalctl -u kubelet` on this node.")
            raise KubesteadError("\n".join(lines), pod=name, pod_log=said) from error
        return str(container)

    def complaint(self, name: str) -> str:
        """Why a pod is not healthy; empty where it is."""
        if name == "etcd":
            return self._complaint_of_etcd()
        if name == "kube-apiserver":
            return "" if self.state.api_healthy() else "its /readyz does not answer with 200"
        server = Servers(self.state.root).pod(name)
        return _complaint_of_health(server.host, server.port) if server else "it has no manifest"

    def _complaint_of_etcd(self) -> str:
        try:
            status = Etcd(["localhost"], timeout=2).status()
        except (KubesteadError, OSError) as error:
            return str(error).rstrip(".")
        if status.get("leader", "0") == "0":
            return "etcd has no leader, which needs more than half of its members"
        return "; ".join(str(error) for error in status.get("errors") or [])

    def _stop(self, name: str) -> None:
        """End a pod's container in order and remove it.

        The kubelet holds back a container that ended twice within minutes, by what it sees of the ended one. Where that is
        gone it starts the next one at once.
        """
        grace = _GRACE.get(name, _DEFAULT_GRACE)
        for item in self._containers(name):
            if item["state"] == "CONTAINER_RUNNING":
                self.crictl.run("stop", "--timeout", str(grace), item["id"], timeout=grace + _DEFAULT_GRACE)
            self.crictl.run("rm", item["id"], check=False, timeout=_DEFAULT_GRACE)

    def _containers(self, name: str) -> list[dict[str, t.Any]]:
        labels = (f"io.kubernetes.container.name={name}", "io.kubernetes.pod.namespace=kube-system")
        answer = self.crictl.run_json("ps", "--all", *(f"--label={label}" for label in labels), "--output=json")
        return [item for document in answer for item in document.get("containers") or []]


def _complaint_of_health(host: str, port: int) -> str:
    # A certificate that it signed itself, on the node's own loopback address: nothing is told to it.
    connection = http.client.HTTPSConnection(host, port, timeout=2, context=unverified())
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        return "" if status == 200 else f"https://{host}:{port}/healthz answers with {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"https://{host}:{port}/healthz: {error}"
    finally:
        connection.close()


def _with_progress(error: KubesteadError, done: t.Sequence[str], left: t.Sequence[str]) -> KubesteadError:
    """The error, and which pods were restarted before and which were not."""
    progress = f"Restarted before it: {', '.join(done) or 'none'}. Left as they are: {', '.join(left) or 'none'}."
    return KubesteadError(f"{error.message}\n{progress}", **{**error.details, "restarted": list(done)})
