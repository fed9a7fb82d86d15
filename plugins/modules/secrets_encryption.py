#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the keys that encrypt Secrets in etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_encryption
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The keys that encrypt a cluster's Secrets in etcd
description:
  - Keeps the file with the keys that the API server encrypts Secrets with (C(--encryption-provider-config)), readable by root alone.
  - A key is made on a control plane, from the system's source of randomness, and is never printed.
  - Rotation is V(key_added) on every control plane, V(newest_key_used) on every one, V(secrets_rewritten) on one, V(other_keys_removed)
    on every one. Each of them may be repeated at any time, so that a rotation that was broken off is begun again and ends well.
  - The states of a rotation wait until this node's API server works with the file. It looks for changes once a minute
    (C(--encryption-provider-config-automatic-reload)), and is not restarted.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: All of it is secret.
  idempotent:
    support: partial
    details: Each V(key_added) that finds a single key makes another one.
options:
  state:
    description:
      - With V(present) the file is there. A member of a cluster keeps its own. Any other machine takes O(configurations) over, or makes
        a first key where none is given. In a cluster that runs, a first key only decrypts. A file that the API server is told to read, and
        that is gone, is an error.
      - With V(key_added) there are two keys. Where this file, and O(configurations), hold one alone, another is made. It only decrypts.
      - With V(newest_key_used) the newest key encrypts what is written from now on.
      - With V(secrets_rewritten) every Secret is written again, and so encrypted with the key that encrypts.
      - With V(other_keys_removed) only the key that encrypts is left.
    type: str
    choices: [present, key_added, newest_key_used, secrets_rewritten, other_keys_removed]
    default: present
  path:
    description: Where the file lies.
    type: path
    default: /etc/kubernetes/encryption/configuration.yaml
  configurations:
    description: What the file holds on other control planes, for V(present) and V(key_added).
    type: list
    elements: str
    default: []
  wait:
    description:
      - Whether V(key_added) and V(other_keys_removed) wait until this node's API server works with the file. V(newest_key_used) always
        does, since what comes after it needs that.
    type: bool
    default: true
  kubeconfig:
    description: Kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
notes:
  - The file belongs into a backup of the cluster. A snapshot of etcd is worth little without it.
"""

EXAMPLES = r"""
- name: Have a key for Secrets
  kubestead.cluster.secrets_encryption:

- name: Write every Secret again, encrypted with the newest key
  kubestead.cluster.secrets_encryption:
    state: secrets_rewritten
  run_once: true
"""

RETURN = r"""
keys:
  description: Names of the keys in the file, the one that encrypts first. Empty where somebody else wrote it.
  returned: always
  type: list
  elements: str
  sample: [key2, key1]
secrets:
  description: How many Secrets were written again, or would be in check mode.
  returned: with O(state=secrets_rewritten)
  type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude
from ansible_collections.kubestead.cluster.plugins.module_utils._secrets_encryption import Encryption, parse


def perform(module: AnsibleModule, encryption: Encryption, member: bool) -> dict[str, t.Any]:
    """Do what the state asks for; gives the module's result."""
    state: str = module.params["state"]
    others: list[str] = module.params["configurations"]
    if state == "secrets_rewritten":
        number = encryption.rewrite()
        return {"changed": number > 0, "secrets": number, "keys": names(encryption)}
    if state == "present":
        changed = encryption.present(others[0] if others else None, member)
    elif state == "key_added":
        changed = encryption.add_key(others, module.params["wait"])
    elif state == "newest_key_used":
        changed = encryption.use_newest()
    else:
        changed = encryption.drop_others(module.params["wait"])
    return {"changed": changed, "keys": names(encryption)}


def names(encryption: Encryption) -> list[str]:
    """Names of the keys in the file; none where it is missing or not ours."""
    try:
        return [key.name for key in parse(encryption.file.text() or "")]
    except KubesteadError:
        return []


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "choices": ["present", "key_added", "newest_key_used", "secrets_rewritten", "other_keys_removed"],
                "default": "present",
            },
            "path": {"type": "path", "default": "/etc/kubernetes/encryption/configuration.yaml"},
            "configurations": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "wait": {"type": "bool", "default": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    encryption = Encryption(module, module.params["path"], module.params["kubeconfig"])
    conclude(module, lambda: perform(module, encryption, KubernetesState().stage == "member"))


if __name__ == "__main__":
    main()
