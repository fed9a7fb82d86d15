#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the pin of a cluster's certificate authority."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_ca_hash
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Compute, and compare, the hash by which kubeadm pins a cluster's certificate authority
description:
  - Gives, for each certificate authority, C(sha256:) and the hash of its public key (the DER encoding of SubjectPublicKeyInfo).
  - Reads authorities from a file on the node, from a text, or from what an API server tells to anyone who asks.
    Exactly one of O(path), O(pem) and O(server) is needed.
  - Needs nothing on the node but Python's standard library.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
    details: Reads only. Where O(path) does not exist yet, RV(hashes) is empty in check mode.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
options:
  path:
    description: A file with one or more certificates, as V(/etc/kubernetes/pki/ca.crt).
    type: path
  pem:
    description: One or more certificates as text.
    type: str
  server:
    description:
      - Host and port of an API server, as V(api.example.org:6443).
      - What it answers is not to be trusted by itself. Compare it through O(expected) with hashes from a source that you trust.
    type: str
  expected:
    description: Hashes that are accepted. Any other is an error.
    type: list
    elements: str
  timeout:
    description: Seconds that the API server may take to answer.
    type: int
    default: 10
seealso:
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Compute the pin on a control plane
  kubestead.cluster.kubeadm_ca_hash:
    path: /etc/kubernetes/pki/ca.crt
  register: authority

- name: Make sure that an endpoint leads to that cluster
  kubestead.cluster.kubeadm_ca_hash:
    server: api.example.org:6443
    expected: "{{ authority.hashes }}"
"""

RETURN = r"""
hashes:
  description: The hash of each authority, in their order.
  returned: success
  type: list
  elements: str
  sample: ["sha256:7c3c2e5d5f3a9d0d8b5a4f8b3d7f3a4d2a8c1e9b7f6d5c4b3a2918070f6e5d4c"]
names:
  description: The common name of each authority.
  returned: success
  type: list
  elements: str
  sample: [kubernetes]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import authorities_of_server, certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def _pem_and_source(module: AnsibleModule) -> tuple[str, str]:
    """The certificates as text, and what to call them in errors."""
    params = module.params
    if params["server"]:
        return authorities_of_server(params["server"], params["timeout"]), f"the answer of {params['server']}"
    if params["pem"]:
        return params["pem"], "the option pem"
    path = params["path"]
    if module.check_mode and not os.path.exists(path):
        return "", path
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read(), path
    except OSError as error:
        raise KubesteadError(
            f"Cannot read {path}: {error.strerror}. A control plane has its authority in /etc/kubernetes/pki/ca.crt: "
            "delegate the task to one, or give the certificate by pem, or the API server by server."
        ) from error


def compare(found: t.Sequence[str], expected: t.Sequence[str], source: str) -> None:
    """Raise where an authority is none of the expected ones."""
    strangers = [pin for pin in found if pin not in expected]
    if strangers:
        raise KubesteadError(
            f"The certificate authority in {source} is not the expected one: found {', '.join(strangers)}, "
            f"expected {' or '.join(expected) or 'none'}. Either it belongs to another cluster (a wrong address, or a reset "
            "control plane that made a new authority), or somebody stands in between. Nothing was joined.",
            hashes=list(found),
            expected=list(expected),
        )


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "pem": {"type": "str"},
            "server": {"type": "str"},
            "expected": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 10},
        },
        mutually_exclusive=[("path", "pem", "server")],
        required_one_of=[("path", "pem", "server")],
        supports_check_mode=True,
    )

    def work() -> dict[str, t.Any]:
        pem, source = _pem_and_source(module)
        found = {entry.public_key_hash: entry.common_name for entry in (certificates(pem, source) if pem else [])}
        if module.params["expected"] is not None:
            compare(list(found), module.params["expected"], source)
        return {"changed": False, "hashes": list(found), "names": list(found.values())}

    conclude(module, work)


if __name__ == "__main__":
    main()
