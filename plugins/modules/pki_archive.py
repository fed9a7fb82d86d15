#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the authorities and keys of a cluster, in one file and out of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pki_archive
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The authorities and keys of a cluster, in one file and out of it
description:
  - Puts what makes a cluster this one, and is not in etcd, into one archive, or an archive onto a new machine. These are the certificate
    authorities with their keys, the keys that sign service accounts, and the keys that Secrets are encrypted with.
  - Such an archive is the cluster's master key. Whoever reads it can become its administrator.
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
    details: O(state=unpacked) writes what is missing, O(state=packed) writes each time.
options:
  path:
    description: The archive, a file on the node.
    type: path
    required: true
  state:
    description:
      - V(packed) writes the archive, readable for root alone.
      - V(unpacked) puts the files that are missing in their places below C(/etc/kubernetes). Where another is in one of these places, it
        fails, and nothing is changed.
    type: str
    choices: [packed, unpacked]
    required: true
"""

EXAMPLES = r"""
- name: Put the authorities and keys into one file
  kubestead.cluster.pki_archive:
    path: /var/lib/kubestead/etcd-snapshots/pki.tar.gz
    state: packed
"""

RETURN = r"""
files:
  description: The files in the archive, or those that were missing on the machine, below C(/etc/kubernetes).
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils import _pki_archive
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def perform(path: str, state: str, check_mode: bool) -> dict[str, t.Any]:
    """Pack or unpack; gives the module's result."""
    if state == "unpacked":
        files = _pki_archive.unpack(path, write=not check_mode)
        return {"changed": bool(files), "files": files}
    return {"changed": True, "files": [] if check_mode else _pki_archive.pack(path)}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["packed", "unpacked"], "required": True},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: perform(module.params["path"], module.params["state"], module.check_mode))


if __name__ == "__main__":
    main()
