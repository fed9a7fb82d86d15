#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the first control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Make the first control plane of a cluster with kubeadm
description:
  - Runs C(kubeadm init) with a configuration, on a node that belongs to no cluster yet.
  - A node that is a control plane already is left as it is.
  - An init or join of ours that was interrupted is reset first, then begun anew. Traces that somebody else left are never touched.
  - Where the configuration names an etcd of your own (C(etcd.external)), it must answer and hold no cluster's data yet, unless the
    authority of that cluster was put into C(/etc/kubernetes/pki) before.
  - The bootstrap token that kubeadm needs meanwhile is random, is kept in memory and in a file that only root can read,
    and is deleted at the end.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
  - kubestead.cluster.options.kubeadm_flags
attributes:
  check_mode:
    support: full
    details: Checks the configuration with C(kubeadm config validate) where kubeadm is installed.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  config:
    description:
      - The documents of kubeadm's configuration, version v1beta4 (InitConfiguration, ClusterConfiguration), and those of its components
        (KubeletConfiguration, KubeProxyConfiguration).
      - An InitConfiguration is added where there is none.
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds that kubeadm may take, and that another run on the same node is waited for.
    type: int
    default: 600
seealso:
  - module: kubestead.cluster.kubeadm_join
  - module: kubestead.cluster.kubeadm_token
"""

EXAMPLES = r"""
- name: Make the first control plane
  kubestead.cluster.kubeadm_init:
    config:
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        kubernetesVersion: v1.36.4
        networking:
          podSubnet: 10.244.0.0/16
"""

RETURN = r"""
stage_before:
  description: What the node was before, V(absent), V(interrupted) or V(member).
  returned: always
  type: str
phases:
  description: The phases that kubeadm went through, and the seconds that each took, in their order. Empty where nothing was to do.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the phase, as kubeadm prints it.
      type: str
      returned: always
    seconds:
      description: Seconds that it took.
      type: float
      returned: always
  sample: [{name: preflight, seconds: 0.4}, {name: certs, seconds: 1.2}]
seconds:
  description: Seconds that kubeadm took.
  returned: when it ran
  type: float
ca_hash:
  description: sha256 of the public key of the cluster's certificate authority, as joining nodes pin it.
  returned: success
  type: str
node_name:
  description: Name of the node in the cluster.
  returned: success
  type: str
kubelet_log:
  description: The kubelet's last complaints.
  returned: failure
  type: list
  elements: str
pod_logs:
  description: The last complaints of each container of the control plane.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_settings import given, remember
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import ExternalEtcd
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    ADMIN_CONF,
    API_VERSION,
    FLAG_OPTIONS,
    merged,
    new_token,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import (
    NodeOperation,
    conclude,
    external_etcd,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

DESCRIPTION = "Kubestead's kubeadm init"
# Seconds.
PATIENCE = 30.0


class Init(NodeOperation):
    """kubeadm init."""

    operation = "init"
    role = "control_plane"

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self.token = new_token()
        module.no_log_values.add(self.token)

    def documents(self) -> list[dict[str, t.Any]]:
        """The given documents, the InitConfiguration with our own short-lived token in it."""
        ours: dict[str, t.Any] = {
            "apiVersion": API_VERSION,
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": self.token, "ttl": "30m0s", "description": DESCRIPTION}],
        }
        if self.module.params["patches_directory"]:
            ours["patches"] = {"directory": self.module.params["patches_directory"]}
        given = self.module.params["config"]
        init = [document for document in given if document.get("kind") == "InitConfiguration"]
        others = [document for document in given if document.get("kind") != "InitConfiguration"]
        return [merged(merged({}, *init), ours) if init else ours, *others]

    def arguments(self, config: str) -> list[str]:
        """Those of every operation; secrets are not to be printed."""
        return [*super().arguments(config), "--skip-token-print", "--skip-certificate-key-print"]

    def check_surroundings(self) -> None:
        """An etcd of the user's own that holds a cluster's data: kubeadm would write over it without a word."""
        external = external_etcd(self.documents())
        if not external.get("keyFile"):
            return
        where = "etcd at " + ", ".join(external["endpoints"])
        prefix = self._etcd_prefix()
        try:
            used = ExternalEtcd(external).holds(prefix)
        except OSError as error:
            files = ", ".join(external[name] for name in ("caFile", "certFile", "keyFile"))
            raise KubesteadError(
                f"The files for {where} cannot be used ({files}): {error}. Nothing was changed."
            ) from error
        except KubesteadError as error:
            raise KubesteadError(
                f"{error.message} Nothing was changed. Look whether {where} runs, and whether its certificates name these hosts and "
                "come from the authority that was given.",
            ) from error
        # With the cluster's own authority brought along, it is to go on with its data.
        if used and not self.state.ca_hash:
            raise KubesteadError(
                f"The {where} holds the data of a cluster already, below {prefix}. Nothing was changed. If that cluster lives, give this "
                "one another etcd, or another prefix (etcd-prefix in the API server's extraArgs). If it is gone, "
                f"`etcdctl del --prefix {prefix}/` removes what it left. If it is to come back, put its pki into "
                "/etc/kubernetes/pki, and the keys of its Secrets into /etc/kubernetes/encryption."
            )

    def _etcd_prefix(self) -> str:
        arguments = [
            argument
            for document in self.documents()
            if document.get("kind") == "ClusterConfiguration"
            for argument in (document.get("apiServer") or {}).get("extraArgs") or []
        ]
        given = [str(argument["value"]) for argument in arguments if argument.get("name") == "etcd-prefix"]
        return given[-1].rstrip("/") if given else "/registry"

    def _complete(self) -> bool:
        """The last phases of kubeadm set up DNS and kube-proxy: where they, or further nodes, are there, init was through.

        Such a cluster may be in use already, so it is never reset.
        """
        if not self.state.is_member or not self.state.api_healthy():
            return False
        kubectl = Kubectl(self.module, ADMIN_CONF)
        addons = [("deployment", "coredns"), ("daemonset", "kube-proxy")]
        try:
            found = [kubectl.get(kind, name, "--namespace=kube-system") for kind, name in addons]
            complete = all(found) or len(kubectl.get("nodes")) > 1
        except KubesteadError as error:
            # The administrator gets rights only in the course of init: so early, nobody can have used the cluster.
            if "(Forbidden)" in error.message:
                return False
            raise
        if complete:
            self._revoke_tokens()
        return complete

    def _revoke_tokens(self) -> None:
        for token in self.kubeadm.tokens(ADMIN_CONF):
            if token.get("description") == DESCRIPTION:
                self.kubeadm.delete_token(ADMIN_CONF, token["token"].partition(".")[0])

    def _delete_token(self, patience: float) -> bool:
        """Whether that worked. The way to a new API server, or the virtual address, may be gone for a moment."""
        token = self.token.partition(".")[0]
        try:
            return wait_for(
                lambda: self.kubeadm.delete_token(ADMIN_CONF, token, check=False), bool, "the token to go", patience, 1
            )
        except WaitTimeoutError:
            return False

    def finish(self, succeeded: bool) -> None:
        """Delete the token and remember the configuration. After a failure the API server may be away; the token's short life must do."""
        deleted = self._delete_token(PATIENCE if succeeded else 0)
        if succeeded and not deleted:
            self.result["warnings"].append(
                "The bootstrap token of this init could not be deleted; it expires within 30 minutes."
            )
        if succeeded:
            remember(Kubectl(self.module, ADMIN_CONF), given(self.documents()), check=False)
        # The reset of an interrupted attempt takes the attempt's token along, but not out of such an etcd.
        if succeeded and self.result["stage_before"] == "interrupted" and external_etcd(self.documents()):
            self._revoke_tokens()


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "list", "elements": "dict", "required": True},
            **FLAG_OPTIONS,
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    conclude(module, Init(module).perform)


if __name__ == "__main__":
    main()
