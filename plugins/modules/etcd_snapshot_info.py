#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: what a snapshot of etcd is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot_info
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: What a snapshot of etcd is, and whether it is whole
description:
  - Reads a snapshot from its first byte to its last, compares its hash, and tells which revision of which cluster it holds.
  - Fails where it was cut short, or is damaged, or is none. Needs no etcd, and runs on the controller as well as on a node.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
options:
  path:
    description: The snapshot, a file.
    type: path
    required: true
  sha256:
    description: The hash that the file has to have, where one is known.
    type: str
seealso:
  - module: kubestead.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: Read a snapshot on the controller
  kubestead.cluster.etcd_snapshot_info:
    path: ~/.local/state/kubestead/backups/prod/etcd-2026-11-21T12-30-00Z.db
  delegate_to: localhost
  register: snapshot
"""

RETURN = r"""
size:
  description: Size in bytes.
  returned: success
  type: int
sha256:
  description: The hash of the file.
  returned: success
  type: str
revision:
  description: Revision of etcd that it holds.
  returned: success
  type: int
total_keys:
  description: Number of keys in it, which is about that of the cluster's objects.
  returned: success
  type: int
authorities:
  description: The SHA-256 hashes of the cluster's certificate authorities, as the snapshot holds them, or else the file beside it.
  returned: success
  type: list
  elements: str
encryption_keys:
  description: The names of the keys that values in it are encrypted with, such as Secrets. Empty where none are.
  returned: success
  type: list
  elements: str
"""

import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import about, read
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

UNCHANGED = "Nothing was changed."


def look(path: str, sha256: t.Optional[str]) -> dict[str, t.Any]:
    """Read the snapshot; gives the module's result."""
    if not os.path.isfile(path):
        raise KubesteadError(
            f"There is no file {path}. Name a snapshot, such as `kubestead etcd backup` (playbooks/etcd_backup.yml) makes. {UNCHANGED}"
        )
    try:
        content = read(path)
    except KubesteadError as error:
        raise KubesteadError(f"{error.message} {UNCHANGED}") from error
    if sha256 and content.sha256 != sha256:
        raise KubesteadError(
            f"{path} is another file than expected: its SHA-256 is {content.sha256}, not {sha256}. {UNCHANGED}"
        )
    return {
        "changed": False,
        **content._asdict(),
        "authorities": list(content.authorities or _told_beside(path, content.sha256)),
    }


def _told_beside(path: str, sha256: str) -> t.Sequence[str]:
    """The authorities that the file beside the snapshot names; none where that tells of another snapshot."""
    try:
        told = json.loads(read_text(about(path)) or "{}")
    except ValueError:
        return []
    return told.get("authorities", []) if told.get("sha256") == sha256 else []


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "sha256": {"type": "str"}},
        supports_check_mode=True,
    )
    conclude(module, lambda: look(module.params["path"], module.params["sha256"]))


if __name__ == "__main__":
    main()
