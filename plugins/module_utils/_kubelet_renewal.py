# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate that a kubelet has made for itself: it never makes another as long as the file is there, expired or not."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificates_state import NodeCertificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock
from ansible_collections.kubestead.cluster.plugins.module_utils._servers import KUBELET_OWN, KUBELET_SIGNED
from ansible_collections.kubestead.cluster.plugins.module_utils._tools import Systemctl
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

LOCK_SECONDS = 300
_SIGNED_BY_THE_CLUSTER = re.compile(r"^serverTLSBootstrap:\s*true\s*$", re.MULTILINE)


class KubeletRenewal:
    """The renewal of the certificate that one kubelet shows."""

    def __init__(self, module: AnsibleModule, root: str = "/") -> None:
        self.module = module
        self.root = root
        self.certificates = NodeCertificates(root)

    def perform(self) -> dict[str, t.Any]:
        """Have the kubelet make another, or ask for it, where that is due; gives the module's result."""
        due = self._due()
        if due and not self.module.check_mode:
            with node_lock(LOCK_SECONDS):
                due = self._due()
                if due:
                    self._renew()
        return {"changed": due, "not_after": (self._current() or {}).get("not_after", "")}

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _current(self) -> t.Optional[dict[str, t.Any]]:
        """The certificate that the kubelet shows; None where somebody else renews it, or the cluster has not signed it yet."""
        path = self.certificates.servers.kubelet_file
        config = read_text(self._path("/var/lib/kubelet/config.yaml")) or ""
        if path != KUBELET_SIGNED and (path != KUBELET_OWN or _SIGNED_BY_THE_CLUSTER.search(config)):
            return None
        return next((one for one in self.certificates.files() if one["path"] == path), None)

    def _due(self) -> bool:
        current = self._current()
        if current is None:
            return False
        return bool(self.module.params["force"] or current["error"] or current["days"] < self.module.params["before"])

    def _renew(self) -> None:
        signed = self.certificates.servers.kubelet_file == KUBELET_SIGNED
        for path in (KUBELET_SIGNED,) if signed else (KUBELET_OWN, KUBELET_OWN[: -len("crt")] + "key"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(path))
        Systemctl(self.module).run(
            "restart", "kubelet", timeout=120, advice="See `journalctl -u kubelet` on this node."
        )
        if not signed:
            self._wait_for_its_own()

    def _wait_for_its_own(self) -> None:
        try:
            wait_for(
                lambda: next((one for one in self.certificates.served() if one["name"] == "kubelet"), {}),
                lambda shown: bool(shown.get("current")),
                "the kubelet to show its new certificate",
                float(self.module.params["timeout"]),
                describe=lambda shown: shown.get("error") or "it shows another than its file holds.",
            )
        except WaitTimeoutError as error:
            raise KubesteadError(
                f"{error.message}\nSee `journalctl -u kubelet` on this node; the kubelet makes the certificate when it starts."
            ) from error
