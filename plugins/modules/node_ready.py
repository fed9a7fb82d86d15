#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: wait for a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_ready
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Waits until a node is Ready, with a release of Kubernetes
description:
  - Waits until the node is Ready and its kubelet reports the release that is wanted, and, on a control plane, until all its static pods are
    ready and of that release, and that this stays so for some seconds.
  - Runs on a control plane.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubectl
attributes:
  check_mode:
    support: full
    details: Does not wait.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
options:
  name:
    description: Name of the node.
    type: str
    required: true
  version:
    description: The release, as V(1.37.1). Without it any will do.
    type: str
  timeout:
    description: Seconds to wait.
    type: int
    default: 180
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.node_drain
"""

EXAMPLES = r"""
- name: Wait for a node whose kubelet was started again
  kubestead.cluster.node_ready:
    name: worker-1
    version: 1.37.1
  delegate_to: control-plane-1
"""

RETURN = r"""
seconds:
  description: Seconds that it took.
  returned: success
  type: float
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

QUICK = "--request-timeout=10s"
STEADY = 4.0
"""Seconds: a kubelet that was just started reports itself at once, and looks at its static pods only then."""


class Waiting:
    """The wait for one node."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.name: str = module.params["name"]
        version = module.params["version"]
        self.version = _upgrade.Version.of(version) if version else None
        self.kubectl = Kubectl(module, module.params["kubeconfig"])

    def perform(self) -> dict[str, t.Any]:
        """Wait; gives the module's result."""
        start = time.monotonic()
        if not self.module.check_mode:
            self._wait()
        return {"changed": False, "seconds": round(time.monotonic() - start, 1)}

    def _wait(self) -> None:
        what = f"{self.name} to be Ready" + (f" with Kubernetes {self.version}" if self.version else "")
        try:
            wait_for(
                self.missing,
                lambda missing: not missing,
                what,
                self.module.params["timeout"],
                1,
                describe="; ".join,
                steady=STEADY,
            )
        except WaitTimeoutError as error:
            raise KubesteadError(
                f"{error.message}. See `journalctl -u kubelet` and `crictl ps -a` on {self.name}. The rest of the cluster was left as it "
                "is; once the cause is gone, run the same again.",
                missing=error.last,
            ) from error

    def missing(self) -> list[str]:
        """What the node lacks now."""
        try:
            nodes = self.kubectl.get("node", self.name, QUICK)
            selector = f"--field-selector=spec.nodeName={self.name}"
            pods = self.kubectl.get("pods", "--namespace=kube-system", "--selector=tier=control-plane", selector, QUICK)
        except KubesteadError as error:
            # While control planes come and go, one answer may fail.
            return [error.message]
        if not nodes:
            return [f"the cluster has no node {self.name}"]
        node = _upgrade.read_cluster(nodes, pods, {}).nodes[self.name]
        found = [] if node.ready else [f"it is not Ready: {node.message}"]
        found += [f"{pod} is not ready" for pod in node.sick_pods]
        versions = {"its kubelet": node.kubelet, **node.components}
        if self.version:
            found += [f"{what} is of {seen}" for what, seen in versions.items() if seen != self.version]
        return found


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "version": {"type": "str"},
            "timeout": {"type": "int", "default": 180},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: Waiting(module).perform())


if __name__ == "__main__":
    main()
