#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a backup that has arrived in a folder, verified and kept."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_backup_store
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: A backup that has arrived in a folder, verified and kept
description:
  - Reads a snapshot of etcd that was copied into a folder beside the backups, and takes it among them only if it is whole and the one that
    was sent. What came along with it, it takes too. Then the oldest backups go.
  - Runs where the backups are kept, which is the controller.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: All of it is secret.
  idempotent:
    support: none
    details: Takes what has arrived.
options:
  incoming:
    description: Folder that holds what has arrived, on the same file system. It is removed.
    type: path
    required: true
  path:
    description: Folder of the backups.
    type: path
    required: true
  name:
    description: Name of the snapshot.
    type: str
    required: true
  sha256:
    description: The hash that the snapshot has to have.
    type: str
    required: true
  keep:
    description: How many backups stay, the newest.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Keep the backup
  kubestead.cluster.etcd_backup_store:
    incoming: /srv/backups/prod/.incoming
    path: /srv/backups/prod
    name: "{{ snapshot.file | basename }}"
    sha256: "{{ snapshot.sha256 }}"
  delegate_to: localhost
"""

RETURN = r"""
file:
  description: The snapshot, where it is kept.
  returned: success
  type: str
files:
  description: All files of the backup.
  returned: success, not in check mode
  type: list
  elements: str
removed:
  description: The files of older backups that went.
  returned: success, not in check mode
  type: list
  elements: str
"""

import os
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import read, sync_folder
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

SUFFIX = ".db"


def keep_backup(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Take what has arrived among the backups; gives the module's result."""
    incoming, folder = given["incoming"], given["path"]
    found = read(os.path.join(incoming, given["name"])).sha256
    if found != given["sha256"]:
        raise KubesteadError(
            f"The copy of the snapshot is not what was sent: its SHA-256 is {found}, not {given['sha256']}. It was not taken among the "
            f"backups in {folder}. Run the backup again."
        )
    # The snapshot last: where it is, the rest of its backup is.
    names = sorted(os.listdir(incoming), key=lambda name: name.endswith(SUFFIX))
    for name in names:
        arrived = os.path.join(incoming, name)
        os.chmod(arrived, 0o600)
        with open(arrived, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(arrived, os.path.join(folder, name))
    sync_folder(folder)
    shutil.rmtree(incoming)
    return {
        "changed": True,
        "file": os.path.join(folder, given["name"]),
        "files": [os.path.join(folder, name) for name in names],
        "removed": rotate(folder, given["keep"]),
    }


def rotate(folder: str, keep: int) -> list[str]:
    """Remove the oldest backups, so that as many stay as are kept; gives the files that went."""
    names = sorted(os.listdir(folder))
    snapshots = [name for name in names if name.startswith("etcd-") and name.endswith(SUFFIX)]
    surplus = tuple(name[: -len(SUFFIX)] + "." for name in snapshots[: max(0, len(snapshots) - keep)])
    removed = [os.path.join(folder, name) for name in names if surplus and name.startswith(surplus)]
    for path in removed:
        os.unlink(path)
    return removed


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "incoming": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, t.Any]:
        if module.params["keep"] < 1:
            raise KubesteadError(
                f"keep is {module.params['keep']}, and at least the backup that has arrived has to stay: give 1 or more."
            )
        if module.check_mode:
            return {"changed": True, "file": os.path.join(module.params["path"], module.params["name"])}
        return keep_backup(module.params)

    conclude(module, work)


if __name__ == "__main__":
    main()
