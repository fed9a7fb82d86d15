#!/usr/bin/python
# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Module: the control plane's certificates, lent to a joining control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_certificates
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The control plane's certificates, lent to a joining control plane
description:
  - Uploads the certificates and keys that control planes share, encrypted, into the Secret C(kubeadm-certs),
    or deletes that Secret, with the token that kubeadm makes to have it expire.
  - Runs on a control plane that is a member of the cluster. kubeadm lets the Secret live two hours at most.
attributes:
  check_mode:
    description: Predicts the change and uploads or deletes nothing.
    support: full
  diff_mode:
    description: Has no diff, since all of it is secret.
    support: none
options:
  state:
    description:
      - V(present) uploads the certificates, each time anew since an older upload has another key.
      - V(absent) deletes them.
    type: str
    choices: [present, absent]
    default: present
  certificate_key:
    description: Key to encrypt with, 64 hexadecimal digits. Required for O(state=present).
    type: str
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Lend the certificates to joining control planes
  kubestead.cluster.kubeadm_certificates:
    certificate_key: "{{ certificate_key }}"

- name: Take them back
  kubestead.cluster.kubeadm_certificates:
    state: absent
"""

RETURN = r""" # """

import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import Kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import (
    node_lock,
    secret_directory,
    write_secret,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

# How long another operation on this node, such as that of a killed run, may take to end.
LOCK_SECONDS = 300
SECRET = ("secret/kubeadm-certs", "--namespace", "kube-system")
# How kubeadm describes the token that owns the Secret and takes it along when it expires.
OWNER = "Proxy for managing TTL for the kubeadm-certs secret"


class Certificates:
    """The Secret with the shared certificates, on the cluster that a kubeconfig names."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.kubeconfig: str = module.params["kubeconfig"]
        self.kubectl = Kubectl(module, self.kubeconfig)
        self.kubeadm = Kubeadm(module)

    def perform(self) -> dict[str, t.Any]:
        """Do what the state asks for."""
        present = self.module.params["state"] == "present"
        if self.module.check_mode and not os.path.exists(self.kubeconfig):
            # A cluster that is itself still to be made: nothing can be there yet.
            return {"changed": present}
        if not present:
            return {"changed": self._take_back()}
        if not self.module.check_mode:
            self._upload(self.module.params["certificate_key"])
        return {"changed": True}

    def _take_back(self) -> bool:
        """Delete the Secret and its owner; whether there was anything to delete."""
        lent = self.kubectl.get(*SECRET)
        tokens = self.kubeadm.tokens(self.kubeconfig)
        owners = [token["token"][:6] for token in tokens if token.get("description") == OWNER]
        if not self.module.check_mode:
            if lent:
                self.kubectl.run("delete", *SECRET, "--ignore-not-found")
            for owner in owners:
                self.kubeadm.delete_token(self.kubeconfig, owner)
        return bool(lent or owners)

    def _upload(self, key: str) -> None:
        """Upload the certificates encrypted with the key, which only ever lies in a file that root can read."""
        (stored,) = self.kubectl.get("configmap/kubeadm-config", "--namespace", "kube-system")
        cluster: str = stored["data"]["ClusterConfiguration"]
        init = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "certificateKey": key}
        phase = ("init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print")
        with node_lock(LOCK_SECONDS), secret_directory() as directory:
            path = write_secret(directory, "upload.yaml", cluster.rstrip() + "\n---\n" + json.dumps(init) + "\n")
            self.kubeadm.run(
                *phase, "--config", path, advice="See whether this control plane answers: kubectl get nodes."
            )


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "absent"], "default": "present"},
            "certificate_key": {"type": "str", "no_log": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        required_if=[("state", "present", ["certificate_key"])],
        supports_check_mode=True,
    )
    conclude(module, Certificates(module).perform)


if __name__ == "__main__":
    main()
