#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a further node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Make this node a worker or a further control plane of a cluster with kubeadm
description:
  - Runs C(kubeadm join) on a node that belongs to no cluster yet. The cluster's certificate authority is always pinned.
  - A node that is a member already is left as it is. It is an error if it plays another part, or trusts another authority, than wanted.
  - An init or join of ours that was interrupted is reset first, which also takes back a half-joined etcd member, then begun anew.
    Traces that somebody else left are never touched.
  - Token and certificate key travel in a file that only root can read, and that is gone at the end.
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
  endpoint:
    description: Host and port of the API server, as C(api.example.org:6443).
    type: str
    required: true
  token:
    description: A bootstrap token, as RV(kubestead.cluster.kubeadm_token#module:token) gives. In check mode it may be empty.
    type: str
    required: true
  ca_cert_hashes:
    description: The pins of the cluster's certificate authorities, as RV(kubestead.cluster.kubeadm_ca_hash#module:hashes) gives.
    type: list
    elements: str
    required: true
  control_plane:
    description: Whether the node becomes a control plane.
    type: bool
    default: false
  certificate_key:
    description:
      - Key to the certificates that C(kubeadm init phase upload-certs) has put into the cluster.
      - Not needed where the certificates lie on the node already.
    type: str
  node_name:
    description: Name of the node in the cluster. Without it, the one of O(config), or the machine's host name.
    type: str
  config:
    description: More for the JoinConfiguration, version v1beta4. C(apiVersion) and C(kind) may be left out, and secrets must be.
    type: dict
    default: {}
  timeout:
    description: Seconds that kubeadm may take, and that another run on the same node is waited for.
    type: int
    default: 600
seealso:
  - module: kubestead.cluster.kubeadm_ca_hash
  - module: kubestead.cluster.kubeadm_init
  - module: kubestead.cluster.kubeadm_token
"""

EXAMPLES = r"""
- name: Join a worker
  kubestead.cluster.kubeadm_join:
    endpoint: 172.29.96.11:6443
    token: "{{ token.token }}"
    ca_cert_hashes: "{{ authority.hashes }}"

- name: Join a control plane
  kubestead.cluster.kubeadm_join:
    endpoint: api.example.org:6443
    token: "{{ token.token }}"
    ca_cert_hashes: "{{ authority.hashes }}"
    control_plane: true
    certificate_key: "{{ certificate_key }}"
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
  sample: [{name: preflight, seconds: 0.4}, {name: kubelet-start, seconds: 1.2}]
seconds:
  description: Seconds that kubeadm took.
  returned: when it ran
  type: float
ca_hash:
  description: sha256 of the public key of the cluster's certificate authority.
  returned: success
  type: str
node_name:
  description: Name of the node in the cluster.
  returned: success
  type: str
removed_member:
  description: The etcd member that an interrupted join had left, and that was taken out of etcd.
  returned: when it is so
  type: str
stale_member:
  description: True where an interrupted join may have left an etcd member that could not be taken out. The message says what to do.
  returned: on failure, when it is so
  type: bool
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

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    ADMIN_CONF,
    API_VERSION,
    FLAG_OPTIONS,
    TOKEN,
    merged,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import NodeOperation, conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._tools import Systemctl

# Stands for the token where it is only predicted what would be done.
PLACEHOLDER = "abcdef.0123456789abcdef"


class Join(NodeOperation):
    """kubeadm join."""

    operation = "join"

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self.role = "control_plane" if module.params["control_plane"] else "worker"

    def documents(self) -> list[dict[str, t.Any]]:
        """The JoinConfiguration: patience for a slow etcd, then what the user wants, then what was decided."""
        params = self.module.params
        discovery = {
            "apiServerEndpoint": params["endpoint"],
            "token": self._token(),
            "caCertHashes": params["ca_cert_hashes"],
        }
        decided: dict[str, t.Any] = {
            "apiVersion": API_VERSION,
            "kind": "JoinConfiguration",
            "discovery": {"bootstrapToken": discovery},
        }
        if params["control_plane"]:
            decided["controlPlane"] = {"certificateKey": params["certificate_key"]} if params["certificate_key"] else {}
        if params["node_name"]:
            decided["nodeRegistration"] = {"name": params["node_name"]}
        if params["patches_directory"]:
            decided["patches"] = {"directory": params["patches_directory"]}
        # A new etcd member is promoted only once it has caught up, which on slow disks takes minutes.
        patient = {"timeouts": {"etcdAPICall": "5m0s"}}
        wanted = {
            key: value for key, value in params["config"].items() if key != "controlPlane" or params["control_plane"]
        }
        return [merged(merged(patient, wanted), decided)]

    def _token(self) -> str:
        token = str(self.module.params["token"] or "")
        if TOKEN.fullmatch(token):
            return token
        if self.module.check_mode:
            return PLACEHOLDER
        raise KubesteadError(
            "token is not a bootstrap token, which has six characters, a dot and sixteen characters, all of a-z and 0-9. "
            "The module kubestead.cluster.kubeadm_token makes one."
        )

    def _complete(self) -> bool:
        """Whether nothing is left to do, so that a working node is not taken apart.

        A worker is complete once the kubelet has its own credentials: the cluster would refuse the node's name for as
        long as it believes the old node to be ready. A control plane is, once it was marked as one, which comes last.
        """
        if self.state.role != self.role or not self.state.is_member:
            return False
        self._check_cluster()
        if self.role == "control_plane" and not self._is_marked():
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/etc/kubernetes/bootstrap-kubelet.conf")
        Systemctl(self.module).run("start", "kubelet")
        return True

    def _is_marked(self) -> bool:
        if not self.state.api_healthy():
            return False
        nodes = Kubectl(self.module, ADMIN_CONF).get("node", str(self.state.node_name))
        return any("node-role.kubernetes.io/control-plane" in node["metadata"].get("labels", {}) for node in nodes)

    def _check_cluster(self) -> None:
        pins = self.module.params["ca_cert_hashes"]
        found = self.result["ca_hash"]
        if pins and found and found not in pins:
            raise KubesteadError(
                f"This node is a member of another cluster: its authority is {found} ({self.state.server}), "
                f"wanted is {' or '.join(pins)} ({self.module.params['endpoint']}). "
                "If it is to move, remove it there, run `kubeadm reset --force` on it, then the same again."
            )


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "ca_cert_hashes": {"type": "list", "elements": "str", "required": True},
            "control_plane": {"type": "bool", "default": False},
            "certificate_key": {"type": "str", "no_log": True},
            "node_name": {"type": "str"},
            "config": {"type": "dict", "default": {}},
            **FLAG_OPTIONS,
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    conclude(module, Join(module).perform)


if __name__ == "__main__":
    main()
