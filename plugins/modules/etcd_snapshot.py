#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: a snapshot of etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: A snapshot of etcd, verified
description:
  - Takes a snapshot of all that the cluster knows from this control plane's member of etcd, and reads it back from the disk, where it
    has to have the hash that etcd gave it. Only then it gets its name, and old ones go.
  - Beside it lies a file of the same name with the ending C(.json), which tells of which cluster, of which revision and of which
    version of Kubernetes it is.
  - It holds every Secret of the cluster, so that only root can read it. It does not hold the certificate authorities and their keys.
  - Runs on a control plane whose etcd kubeadm has made.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  check_mode:
    support: full
    details: Asks etcd and looks for room on the disk, and writes nothing.
  diff_mode:
    support: none
    details: All of it is secret.
  idempotent:
    support: none
    details: Takes a snapshot each time.
options:
  path:
    description: Folder on the node for the snapshots.
    type: path
    default: /var/lib/kubestead/etcd-snapshots
  keep:
    description: How many snapshots stay in the folder, the newest.
    type: int
    default: 5
seealso:
  - module: kubestead.cluster.cluster_state
"""

EXAMPLES = r"""
- name: Take a snapshot before something great
  kubestead.cluster.etcd_snapshot:
  register: snapshot

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ snapshot.file }} holds revision {{ snapshot.revision }}"
"""

RETURN = r"""
file:
  description: The snapshot. In check mode the name that it would get now.
  returned: success
  type: str
  sample: /var/lib/kubestead/etcd-snapshots/etcd-2026-11-21T12-30-00Z.db
sha256:
  description: The hash of the file.
  returned: success, not in check mode
  type: str
revision:
  description: Revision of etcd that it holds.
  returned: success
  type: int
size:
  description: Size in bytes. In check mode that of etcd's database.
  returned: success
  type: int
total_keys:
  description: Number of keys in it, which is about that of the cluster's objects.
  returned: success, not in check mode
  type: int
removed:
  description: The older snapshots that went.
  returned: success
  type: list
  elements: str
"""

import datetime
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import PKI, Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import FOLDER, Snapshots, named
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def check_node(external: t.Sequence[str], pki: str = PKI) -> None:
    """Raise where this node has no etcd of kubeadm's."""
    if external:
        raise KubesteadError(
            f"No snapshot was taken: this cluster keeps its data in an etcd of your own ({', '.join(external)}). "
            "Back that up with its own means, such as `etcdctl snapshot save`."
        )
    if not os.path.exists(f"{pki}/healthcheck-client.key"):
        raise KubesteadError(
            f"No snapshot was taken: this node has no member of etcd ({pki}/healthcheck-client.key is missing). "
            "Run this on a control plane."
        )


def snapshot(snapshots: Snapshots, check_mode: bool) -> dict[str, t.Any]:
    """Take a snapshot; gives the module's result."""
    if snapshots.keep < 1:
        raise KubesteadError(
            f"keep is {snapshots.keep}, and at least the snapshot that is taken has to stay: give 1 or more."
        )
    moment = datetime.datetime.now(datetime.timezone.utc)
    if check_mode:
        status = snapshots.expect()
        found = {"size": int(status.get("dbSize", 0)), "revision": int(status.get("header", {}).get("revision", 0))}
        return {"changed": True, "file": os.path.join(snapshots.folder, named(moment)), "removed": [], **found}
    return {"changed": True, **snapshots.take(moment)}


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": FOLDER},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, t.Any]:
        check_node(KubernetesState().external_etcd)
        snapshots = Snapshots(Etcd(["localhost"], timeout=30), module.params["path"], module.params["keep"])
        return snapshot(snapshots, module.check_mode)

    conclude(module, work)


if __name__ == "__main__":
    main()
