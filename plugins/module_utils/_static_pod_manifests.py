# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The static pods of a control plane, taken from its kubelet for a while and given back."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import STOPPED_MANIFESTS, read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._tools import Crictl, Systemctl
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFESTS = "/etc/kubernetes/manifests"


class StaticPodManifests:
    """Static pods by the names of their manifests, which are also those of their containers."""

    def __init__(self, module: AnsibleModule, manifests: str = MANIFESTS, stopped: str = STOPPED_MANIFESTS) -> None:
        self.crictl = Crictl(module)
        self.systemctl = Systemctl(module)
        self.manifests = manifests
        self.stopped = stopped

    def manifest(self, name: str) -> t.Optional[str]:
        """The manifest's text, wherever it lies now; None where there is none."""
        return read_text(os.path.join(self.manifests, f"{name}.yaml")) or read_text(
            os.path.join(self.stopped, f"{name}.yaml")
        )

    def stop(self, names: t.Sequence[str], timeout: float) -> None:
        """Take the manifests away, and wait until none of the containers runs any more."""
        os.makedirs(self.stopped, mode=0o700, exist_ok=True)
        for name in names:
            self._move(name, self.manifests, self.stopped)
        try:
            wait_for(
                lambda: self.running(names), lambda running: not running, "the end of the static pods", timeout / 2
            )
        except WaitTimeoutError as error:
            # A kubelet that does not run, or hangs, ends nothing.
            sandboxes = sorted(set(self.running(names).values()))
            if sandboxes:
                self.crictl.run("stopp", *sandboxes, timeout=timeout / 2)
            if self.running(names):
                raise KubesteadError(
                    f"{error.message} Their manifests are in {self.stopped}. See what holds them with `crictl ps`, and run the same again."
                ) from error

    def start(self, names: t.Sequence[str]) -> None:
        """Give the manifests back to the kubelet."""
        for name in names:
            self._move(name, self.stopped, self.manifests)
        if os.path.isdir(self.stopped) and not os.listdir(self.stopped):
            os.rmdir(self.stopped)

    def running(self, names: t.Sequence[str]) -> dict[str, str]:
        """The running containers of these pods, each with the id of its pod's sandbox."""
        (listed,) = self.crictl.run_json("ps", "--state", "running", "--output", "json")
        return {
            container["id"]: container["podSandboxId"]
            for container in listed.get("containers") or []
            if container["labels"].get("io.kubernetes.pod.namespace") == "kube-system"
            and container["labels"].get("io.kubernetes.container.name") in names
        }

    def restart_kubelet(self) -> None:
        """Have a kubelet that waits for nothing: one that has seen pods fail waits up to five minutes before it tries again."""
        self.systemctl.run("restart", "kubelet", advice="See why with `journalctl -u kubelet`, and run the same again.")

    def _move(self, name: str, origin: str, target: str) -> None:
        path = os.path.join(origin, f"{name}.yaml")
        if os.path.exists(path):
            os.replace(path, os.path.join(target, f"{name}.yaml"))
