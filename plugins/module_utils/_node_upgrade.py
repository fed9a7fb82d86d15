# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's part of an upgrade on one node: when it runs, how it is marked, timed and explained."""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_settings import recorded, remember
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    ADMIN_CONF,
    Kubeadm,
    PhaseClock,
    explain,
    list_flags,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState, read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import MARKER_PATH, Marker, node_lock
from ansible_collections.kubestead.cluster.plugins.module_utils._upgrade import (
    COMPONENTS,
    Version,
    cluster_version,
    image_version,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Not the one of init and join, after which a node would be reset.
UPGRADE_MARKER = os.path.join(os.path.dirname(MARKER_PATH), "upgrade-in-progress.json")
MANIFESTS = "/etc/kubernetes/manifests"
COPIES = "/etc/kubernetes/tmp"
_IMAGE = re.compile(r"^\s*image:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_KUBELET = re.compile(r"Kubernetes v(\d+\.\d+\.\d+)")
_PHASE = re.compile(r"^\[(?:upgrade/)?([a-z][a-z0-9-]*)\] ")
# kubeadm prints these within a phase, for a part of it.
_PARTS = frozenset({"upgrade", "versions", "patches", "kubelet-start", "kubelet"})


class NodeUpgrade:
    """Brings what kubeadm made on this node to a release; root is the directory that stands for /."""

    def __init__(self, module: AnsibleModule, root: str = "/") -> None:
        self.module = module
        self.root = root
        self.target = Version.of(module.params["version"])
        self.kubeadm = Kubeadm(module)
        self.state = KubernetesState(root)
        self.marker = Marker(self._path(UPGRADE_MARKER), operations=("upgrade",))
        self.settings: t.Optional[dict[str, t.Any]] = None
        self.result: dict[str, t.Any] = {"changed": False, "operation": "none", "phases": []}

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    @property
    def interrupted(self) -> bool:
        """Whether an upgrade of ours was begun here and not finished."""
        return self.marker.read() is not None

    @property
    def control_plane(self) -> bool:
        """Whether this node is a control plane."""
        return self.state.role == "control_plane"

    def perform(self) -> dict[str, t.Any]:
        """Bring the node there; gives the module's result."""
        timeout = float(self.module.params["timeout"])
        if self.module.check_mode:
            self.result["operation"] = self._operation() or "none"
            self.result["changed"] = self.result["operation"] != "none"
            return self.result
        with node_lock(timeout, self._path("/run/kubestead.lock")) as lock:
            operation = self._operation()
            if operation:
                self._check_kubeadm()
                self.result.update(operation=operation, changed=True)
                self._run(operation, lock, timeout)
        return self.result

    def _operation(self) -> t.Optional[str]:
        """What kubeadm has to do here: apply, node, or nothing."""
        if not self.interrupted and self.state.stage != "member":
            raise KubesteadError(
                f"This node is no working member of a cluster (it is {self.state.stage}), so there is nothing to upgrade. "
                "Nothing was changed."
            )
        if not self.control_plane:
            return "node" if self.interrupted or self._kubelet() != self.target else None
        recorded = self._recorded()
        if recorded != self.target:
            return "apply"
        if self.interrupted or any(version != self.target for version in self.components().values()):
            return "node"
        return None

    def components(self) -> dict[str, t.Optional[Version]]:
        """The version of each static pod of the control plane, from its manifest."""
        texts = {name: read_text(self._path(f"{MANIFESTS}/{name}.yaml")) or "" for name in COMPONENTS}
        images = {name: _IMAGE.search(text) for name, text in texts.items()}
        return {name: image_version(match.group(1)) if match else None for name, match in images.items()}

    def _kubelet(self) -> t.Optional[Version]:
        _rc, stdout, _stderr = self.module.run_command(
            [self.module.get_bin_path("kubelet", required=True), "--version"]
        )
        match = _KUBELET.search(stdout)
        return Version.of(match.group(1)) if match else None

    def _recorded(self) -> t.Optional[Version]:
        """The release in kubeadm's record of the cluster. A control plane that was just interrupted may need a while to tell it."""
        kubectl = Kubectl(self.module, self._path(ADMIN_CONF))

        def look() -> t.Union[KubesteadError, list[dict[str, t.Any]]]:
            try:
                return kubectl.get("configmap", "kubeadm-config", "--namespace=kube-system", "--request-timeout=10s")
            except KubesteadError as error:
                return error

        def answered(found: t.Union[KubesteadError, list[dict[str, t.Any]]]) -> bool:
            return not isinstance(found, KubesteadError)

        try:
            found = wait_for(look, answered, "the API server", 120 if self.interrupted else 20, 1)
        except WaitTimeoutError as error:
            raise t.cast("KubesteadError", error.last) from error
        objects = t.cast("list[dict[str, t.Any]]", found)
        if objects:
            self.settings = recorded({"kubeadm-config": objects[0]})
        return cluster_version(objects[0]) if objects else None

    def _check_kubeadm(self) -> None:
        found = Version.of(self.kubeadm.version())
        if found != self.target:
            raise KubesteadError(
                f"kubeadm on this node is of {found}, and only kubeadm {self.target} can upgrade to {self.target}. Nothing was changed. "
                "Install that package first: the role kubestead.cluster.kube_packages does (tasks_from: fetch)."
            )

    def _run(self, operation: str, lock: int, timeout: float) -> None:
        self.marker.write("upgrade")
        clock = PhaseClock(_PHASE, _PARTS)
        start = time.monotonic()
        try:
            self.kubeadm.run(*self._arguments(operation), timeout=timeout, on_line=clock.line, pass_fds=[lock])
        except KubesteadError as error:
            explained = explain(self.module, error, f"upgrade {operation}", self._recovery())
            explained.details.update(phases=clock.phases(time.monotonic()))
            raise explained from error
        end = time.monotonic()
        # kubeadm writes its record of the cluster anew, without what we noted there.
        if operation == "apply" and self.settings is not None:
            remember(Kubectl(self.module, self._path(ADMIN_CONF)), self.settings, check=False)
        self._forget_copies()
        self.marker.remove()
        self.result.update(phases=clock.phases(end), seconds=round(end - start, 2))

    def _arguments(self, operation: str) -> list[str]:
        arguments = ["upgrade", operation, *([f"v{self.target}", "--yes"] if operation == "apply" else [])]
        if self.module.params["patches_directory"]:
            arguments += ["--patches", self.module.params["patches_directory"]]
        return [*arguments, *list_flags(self.module.params)]

    def _recovery(self) -> str:
        part = "Its kubelet and its pods run on."
        if self.control_plane:
            part = "kubeadm puts back the static pods that it could not upgrade; those before them stay upgraded, and work with the others."
        return f"{part} To go on, remove the cause and run the same again. Nothing was changed on the nodes whose turn had not come."

    def _forget_copies(self) -> None:
        """Remove kubeadm's copies of etcd's data but for the newest: each is as large as the data, and kubeadm removes none."""
        copies = sorted(glob.glob(self._path(f"{COPIES}/kubeadm-backup-etcd*")), key=os.path.getmtime)
        for copy in copies[:-1]:
            shutil.rmtree(copy, ignore_errors=True)
