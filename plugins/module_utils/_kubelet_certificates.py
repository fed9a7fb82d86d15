# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubelets' serving certificates: which requests deserve approval, and whether each kubelet serves a good one."""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import ssl
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate_request import parse_request
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import Object
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import trusting
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SIGNER = "kubernetes.io/kubelet-serving"
PREFIX = "system:node:"
ORGANIZATION = "system:nodes"
USAGES = {"digital signature", "key encipherment", "server auth"}
ANSWER_TIMEOUT = 5.0


class Node(t.NamedTuple):
    """A node as the inventory knows it."""

    name: str
    addresses: t.FrozenSet[str]


def node_from(name: str, given: t.Any) -> Node:
    """A node from the module's option, one address or a list; raises KubesteadError for what is no address."""
    try:
        addresses = frozenset(str(ipaddress.ip_address(one)) for one in (given if isinstance(given, list) else [given]))
    except ValueError as error:
        raise KubesteadError(f"Node {name}: {error}. Nothing was approved.") from error
    if not addresses:
        raise KubesteadError(f"Node {name} has no address in the option nodes. Nothing was approved.")
    return Node(name, addresses)


def is_pending(request: Object) -> bool:
    """Whether nobody has decided on a request yet."""
    return not request.get("status", {}).get("conditions")


def node_of(request: Object) -> str:
    """The name of the node that made a request, as the API server noted it; empty where none did."""
    user = str(request["spec"].get("username", ""))
    return user[len(PREFIX) :] if user.startswith(PREFIX) else ""


def objections(request: Object, node: Node) -> list[str]:
    """Why a request of this node is not to be approved; empty where it asks for just what the node is."""
    spec = request["spec"]
    asked = parse_request(base64.b64decode(spec["request"]).decode("ascii", "replace"))
    found = []
    if asked.common_names != (PREFIX + node.name,) or asked.organizations != (ORGANIZATION,):
        found.append(f"its subject is {', '.join([*asked.common_names, *asked.organizations]) or 'empty'}")
    if ORGANIZATION not in spec.get("groups", []):
        found.append(f"who made it is not of the group {ORGANIZATION}")
    if "server auth" not in spec.get("usages", []) or set(spec["usages"]) - USAGES:
        found.append(f"it asks for the usages {', '.join(spec.get('usages', []))}")
    if asked.others:
        found.append("it asks for names that are neither host names nor addresses")
    if not asked.names and not asked.addresses:
        found.append("it names no host and no address")
    found += [f"it names the host {name}" for name in asked.names if name != node.name]
    found += [f"it names the address {address}" for address in asked.addresses if address not in node.addresses]
    return found


def served(node: Node, port: int, authority: str) -> t.Optional[str]:
    """What is wrong with the certificate that a kubelet serves now; None where the cluster's authority signed it for this node."""
    address = min(node.addresses)
    context = trusting(authority)
    try:
        with socket.create_connection((address, port), ANSWER_TIMEOUT) as connection:
            context.wrap_socket(connection, server_hostname=address).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not one of the cluster's ({error.verify_message})"
    except ssl.SSLError:
        return "it has no certificate yet"
    except OSError as error:
        return f"port {port} of {address} does not answer ({error})"
    return None


class KubeletCertificates:
    """The serving certificates of some nodes of the cluster that a kubeconfig leads to."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.kubectl = Kubectl(module, module.params["kubeconfig"], PATIENCE)
        self.nodes = {name: node_from(name, given) for name, given in module.params["nodes"].items()}
        self.approved: list[str] = []
        self.refused: dict[str, list[str]] = {}

    def perform(self) -> dict[str, t.Any]:
        """Approve what is good until each node serves a good certificate. Raises KubesteadError where one does not in time."""
        if self.module.check_mode and not os.path.exists(self.kubectl.kubeconfig):
            return {"changed": False, "approved": [], "refused": {}}
        self._decide()
        if not self.module.check_mode:
            self._wait()
        return {"changed": bool(self.approved), "approved": self.approved, "refused": self.refused}

    def _decide(self) -> None:
        requests = self.kubectl.get("certificatesigningrequests", "--field-selector", f"spec.signerName={SIGNER}")
        good = [request["metadata"]["name"] for request in requests if self._deserves(request)]
        if good and not self.module.check_mode:
            self.kubectl.run("certificate", "approve", *good)
        self.approved += good

    def _deserves(self, request: Object) -> bool:
        name = node_of(request)
        if not is_pending(request) or name not in self.nodes:
            return False
        found = objections(request, self.nodes[name])
        if found:
            self.refused[name] = found
        else:
            self.refused.pop(name, None)
        return not found

    def _wait(self) -> None:
        def look() -> dict[str, str]:
            lacking = self._lacking()
            if lacking:
                self._decide()
            return lacking

        try:
            # A request that asks for too much stays so: waiting longer would not help.
            wait_for(
                look,
                lambda lacking: set(lacking) <= set(self.refused),
                "the kubelets' serving certificates",
                self.module.params["timeout"],
            )
        except WaitTimeoutError as error:
            raise KubesteadError(
                f"{len(error.last)} of {len(self.nodes)} kubelets serve no certificate of the cluster: "
                + "; ".join(f"{name}: {why}" for name, why in sorted(error.last.items()))
                + ". Logs, exec and metrics of their pods do not work until they do. "
                "`kubectl get certificatesigningrequests` shows what they asked for, `journalctl -u kubelet` on the node why they did not.",
                lacking=error.last,
            ) from error
        if self.refused:
            raise KubesteadError(self._refusal(), refused=self.refused)

    def _lacking(self) -> dict[str, str]:
        port, authority = self.module.params["port"], self.module.params["authority"]
        with ThreadPoolExecutor(max_workers=16) as pool:
            troubles = pool.map(lambda node: served(node, port, authority), self.nodes.values())
            return {name: trouble for name, trouble in zip(self.nodes, troubles) if trouble}

    def _refusal(self) -> str:
        each = "; ".join(f"{name}: {', '.join(why)}" for name, why in sorted(self.refused.items()))
        return (
            f"Requests for serving certificates ask for more than the inventory knows of the nodes, and were not approved: {each}. "
            "If the node is right, say so in the inventory (cluster_node_address) and run the same again; if not, look who runs there."
        )
