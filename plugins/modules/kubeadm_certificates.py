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
    or deletes that Secret.
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
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import (
    node_lock,
    secret_directory,
    write_secret,
)

# How long another operation on this node, such as that of a killed run, may take to end.
LOCK_SECONDS = 300
SECRET = ("secret", "kubeadm-certs", "--namespace", "kube-system")


class Certificates:
    """The Secret with the shared certificates, on the cluster that a kubeconfig names."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._kubectl = [module.get_bin_path("kubectl", required=True), "--kubeconfig", module.params["kubeconfig"]]
        self._kubeadm: str = module.get_bin_path("kubeadm", required=True)

    def exist(self) -> bool:
        """Whether the Secret is there."""
        return bool(self._run([*self._kubectl, "get", *SECRET, "--ignore-not-found", "--output", "name"]).strip())

    def delete(self) -> None:
        """Delete the Secret."""
        self._run([*self._kubectl, "delete", *SECRET, "--ignore-not-found"])

    def upload(self, key: str) -> None:
        """Upload the certificates encrypted with the key, which only ever lies in a file that root can read."""
        read = ["get", "configmap", "kubeadm-config", "--namespace", "kube-system", "--output", "json"]
        stored = self._run([*self._kubectl, *read])
        cluster: str = json.loads(stored)["data"]["ClusterConfiguration"]
        init = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "certificateKey": key}
        phase = ["init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"]
        with node_lock(LOCK_SECONDS), secret_directory() as directory:
            path = write_secret(directory, "upload.yaml", cluster.rstrip() + "\n---\n" + json.dumps(init) + "\n")
            self._run([self._kubeadm, *phase, "--config", path])

    def _run(self, command: t.List[str]) -> str:
        code, stdout, stderr = self._module.run_command(command, environ_update={"LC_ALL": "C"})
        if code != 0:
            self._module.fail_json(
                msg=f"A control plane's certificates could not be handed on.\nTried: {' '.join(command)}\n"
                f"Came back: {stderr.strip() or stdout.strip()}\nSee whether this control plane answers: kubectl get nodes."
            )
        return str(stdout)


def main() -> None:
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
    if module.check_mode and not module.get_bin_path("kubectl"):
        # A cluster that is itself still to be made: nothing can be there yet.
        module.exit_json(changed=module.params["state"] == "present")
    certificates = Certificates(module)
    present = module.params["state"] == "present"
    changed = present or certificates.exist()
    if changed and not module.check_mode:
        if present:
            try:
                certificates.upload(module.params["certificate_key"])
            except KubesteadError as error:
                module.fail_json(msg=error.message, **error.details)
        else:
            certificates.delete()
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
