# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a cluster is, as one of its control planes sees it. Nothing is changed, and nothing that cannot be told raises."""

from __future__ import annotations

import base64
import binascii
import glob
import os
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import condition_of, is_ready

FOLDER = "/etc/kubernetes"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_CLIENT_DATA = re.compile(r"^\s*client-certificate-data:\s*(\S+)", re.MULTILINE)


class _Kubectl(t.Protocol):
    def get(self, *args: str) -> list[dict[str, t.Any]]: ...


def nodes(kubectl: _Kubectl) -> dict[str, t.Any]:
    """The nodes that the API server knows, or its error."""
    try:
        return {"nodes": [node(item) for item in kubectl.get("nodes", "--request-timeout=10s")], "api_error": ""}
    except KubesteadError as error:
        return {"nodes": [], "api_error": error.message}


def node(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What is worth telling of a Node object."""
    status = item.get("status", {})
    ready = is_ready(item)
    addresses = {address["type"]: address["address"] for address in reversed(status.get("addresses", []))}
    return {
        "name": item["metadata"]["name"],
        "ready": ready,
        "message": "" if ready else condition_of(item, "Ready").get("message", "its kubelet has not reported yet"),
        "schedulable": not item.get("spec", {}).get("unschedulable", False),
        "control_plane": _CONTROL_PLANE in item["metadata"].get("labels", {}),
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "address": addresses.get("InternalIP", ""),
    }


def etcd(member: Etcd, external: t.Sequence[str]) -> dict[str, t.Any]:
    """How this node's member of etcd is, and which members there are; with an etcd of the user's own only where that is."""
    found: dict[str, t.Any] = {"external": list(external), "healthy": None, "version": "", "members": [], "error": ""}
    if external:
        return found
    try:
        status = member.status()
        complaints = [str(complaint) for complaint in status.get("errors") or []]
        leads = status.get("leader", "0") != "0"
        if not leads:
            complaints.append("there is no leader, which needs more than half of the members")
        found.update(version=status.get("version", ""), healthy=not complaints, error="; ".join(complaints))
        found["members"] = [
            {"name": one.name, "addresses": list(one.hosts), "learner": one.learner}
            for one in (member.members() if leads else ())
        ]
    except (KubesteadError, OSError) as error:
        found.update(healthy=False, error=str(error))
    return found


def expiries(folder: str = FOLDER) -> list[dict[str, t.Any]]:
    """When each certificate of a control plane expires: kubeadm's own, and those in its kubeconfig files."""
    found = []
    for path in sorted(glob.glob(f"{folder}/pki/*.crt") + glob.glob(f"{folder}/pki/etcd/*.crt")):
        found.append(_expiry(os.path.relpath(path, folder), read_text(path) or "", path))
    for name in ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"):
        match = _CLIENT_DATA.search(read_text(f"{folder}/{name}") or "")
        if match:
            found.append(_expiry(name, _decoded(match.group(1)), f"{folder}/{name}"))
    return found


def _expiry(name: str, pem: str, source: str) -> dict[str, t.Any]:
    try:
        return {"name": name, "expires": min(one.expires for one in certificates(pem, source)), "error": ""}
    except KubesteadError as error:
        return {"name": name, "expires": "", "error": error.message}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode("ascii", "replace")
    except binascii.Error:
        return ""
