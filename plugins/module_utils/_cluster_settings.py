# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that the cluster itself keeps, for joins and upgrades to come, and kube-proxy's."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _settings as settings
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import ADMIN_CONF, Kubeadm, multi_document
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock, secret_directory, write_secret

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

NAMESPACE = "--namespace=kube-system"
RECORD = "kubestead.io/settings"
KINDS = (settings.CLUSTER, settings.KUBELET, settings.PROXY)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# What a change of each document, or of the proxies, has to be brought to.
_PHASES = {
    settings.CLUSTER: ("upload-config", "kubeadm"),
    settings.KUBELET: ("upload-config", "kubelet"),
    settings.PROXY: ("addon", "kube-proxy"),
}


def given(documents: t.Iterable[settings.Document]) -> dict[str, t.Any]:
    """What is remembered of the given configuration: the documents by kind, and a digest of the proxies, which may hold a password.

    Neither the version of Kubernetes, which an upgrade changes, nor what concerns one node.
    """
    record: dict[str, t.Any] = {}
    for document in documents:
        kind = str(document.get("kind"))
        if kind in KINDS:
            record[kind] = {key: value for key, value in document.items() if key != "kubernetesVersion"}
    proxies = [os.environ.get(name, "") for name in _PROXIES]
    if any(proxies):
        record["proxies"] = hashlib.sha256(settings.canonical(proxies).encode()).hexdigest()
    return record


def remember(kubectl: Kubectl, record: t.Mapping[str, t.Any], check: bool = True) -> None:
    """Write down what the cluster was given, for the next comparison, which without it takes everything for new."""
    kubectl.run(
        *("annotate", "configmap", "kubeadm-config", NAMESPACE, "--overwrite"),
        f"{RECORD}={settings.canonical(record)}",
        check=check,
    )


class ClusterSettings:
    """The cluster's own copy of its configuration, on a control plane."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.timeout = float(module.params["timeout"])
        self.kubectl = Kubectl(module, ADMIN_CONF, PATIENCE)
        self.documents: list[dict[str, t.Any]] = module.params["config"]
        self.warnings: list[str] = []

    def perform(self) -> dict[str, t.Any]:
        """Bring it to the given configuration; gives the module's result."""
        stored = self._stored()
        before = recorded(stored)
        after = given(self.documents)
        changed = [kind for kind in KINDS if before is None or self._touched(kind, before, after)]
        result: dict[str, t.Any] = {"changed": bool(changed), "differences": changed, "restarted": []}
        if changed and not self.module.check_mode:
            with node_lock(self.timeout), secret_directory() as directory:
                result["restarted"] = self._bring(changed, stored, directory)
            remember(self.kubectl, after)
        result["warnings"] = self.warnings
        if self.module._diff and changed:
            result["diff"] = {"before": before or {}, "after": after}
        return result

    def _touched(self, kind: str, before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> bool:
        if kind == settings.PROXY and (
            before.get("proxies") != after.get("proxies") or _image(before) != _image(after)
        ):
            return True
        return bool(before.get(kind) != after.get(kind))

    def _stored(self) -> dict[str, dict[str, t.Any]]:
        names = ("kubeadm-config", "kubelet-config", "kube-proxy")
        found = self.kubectl.get("configmap", *names, NAMESPACE)
        stored = {item["metadata"]["name"]: item for item in found}
        if "kubeadm-config" not in stored:
            raise KubesteadError(
                "The cluster has no ConfigMap kubeadm-config in the namespace kube-system, so kubeadm did not make it, or was interrupted. "
                "Nothing was changed."
            )
        return stored

    def _bring(self, changed: t.Sequence[str], stored: t.Mapping[str, t.Any], directory: str) -> list[str]:
        """Upload what changed, as kubeadm does it, and have kube-proxy read it; gives what was restarted."""
        version = settings.uploaded_version(stored["kubeadm-config"]["data"]["ClusterConfiguration"])
        config = write_secret(directory, "kubeadm.yaml", multi_document(settings.with_version(self.documents, version)))
        kubeadm = Kubeadm(self.module)
        # A field that kubeadm does not know makes no difference anywhere, so this is where it is heard of.
        self.warnings = kubeadm.validate(config)
        for kind in changed:
            kubeadm.run("init", "phase", *_PHASES[kind], "--config", config, timeout=self.timeout)
        return self._settle_proxy(stored) if settings.PROXY in changed else []

    def _settle_proxy(self, stored: t.Mapping[str, t.Any]) -> list[str]:
        """Have kube-proxy read a ConfigMap that changed, and wait until it runs on all nodes as it is to."""
        if self._stored().get("kube-proxy", {}).get("data") != stored.get("kube-proxy", {}).get("data"):
            self.kubectl.run("rollout", "restart", "daemonset/kube-proxy", NAMESPACE)
        outcome = self.kubectl.run(
            *("rollout", "status", "daemonset/kube-proxy", NAMESPACE, f"--timeout={self.timeout:g}s"),
            advice="kube-proxy was told to start again with its new settings, one node after the other, and does not get on. "
            "`kubectl --namespace kube-system logs daemonset/kube-proxy` tells more. Correct the value in the inventory "
            "(cluster_kube_proxy_config, cluster_proxy_mode, cluster_feature_gates), then run the same again.",
        )
        # It says more than that one line only where it had to wait for pods.
        return ["kube-proxy"] if len(outcome.stdout.splitlines()) > 1 else []


def recorded(stored: t.Mapping[str, t.Any]) -> t.Optional[dict[str, t.Any]]:
    """What was written down before; None where nothing was, or what cannot be read."""
    text = stored["kubeadm-config"]["metadata"].get("annotations", {}).get(RECORD, "")
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _image(record: t.Mapping[str, t.Any]) -> t.Any:
    return record.get(settings.CLUSTER, {}).get("imageRepository")
