#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: the certificates of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates_state
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: The certificates of a node, in its files and as its servers show them
description:
  - Reads every certificate of Kubernetes on this node - those below C(/etc/kubernetes/pki), those in the kubeconfigs, the kubelet's two,
    and the ones for an etcd of the user's own.
  - Asks each server of this node which certificate it shows now, so that one is seen that was renewed and not read again.
  - Changes nothing, and does not fail where something cannot be read; it tells so instead. No key is read.
  - Runs on control planes and workers.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
seealso:
  - module: kubestead.cluster.kubeadm_renew
"""

EXAMPLES = r"""
- name: Read the certificates
  kubestead.cluster.certificates_state:
  register: certificates

- name: Say which expire within a month
  ansible.builtin.debug:
    msg: "{{ certificates.files | selectattr('error', 'eq', '') | selectattr('days', 'lt', 30) | map(attribute='path') }}"
"""

RETURN = r"""
files:
  description: The certificates in files; of a file with several the first.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: What it is called, its path below C(/etc/kubernetes) where it is there. Of a server, the server's name.
      type: str
      returned: always
      sample: pki/apiserver.crt
    path:
      description: The file that holds it. Of a server that makes its own in memory, nothing.
      type: str
      returned: always
    error:
      description: Why it could not be read. Then the following keys are not there.
      type: str
      returned: always
    subject:
      description: Whom it names.
      type: str
      returned: when it can be read
      sample: O=kubeadm:cluster-admins, CN=kubernetes-admin
    issuer:
      description: Who has signed it.
      type: str
      returned: when it can be read
      sample: CN=kubernetes
    sans:
      description: The names and addresses that it is good for.
      type: list
      elements: str
      returned: when it can be read
    authority:
      description: Whether it may sign others.
      type: bool
      returned: when it can be read
    serial:
      description: Its serial number, in hexadecimal digits.
      type: str
      returned: when it can be read
    fingerprint:
      description: Its SHA-256, in hexadecimal digits.
      type: str
      returned: when it can be read
    not_after:
      description: When it expires, in UTC.
      type: str
      returned: when it can be read
      sample: "2027-11-21T06:30:00Z"
    days:
      description: Whole days until then; less than zero where it has expired.
      type: int
      returned: when it can be read
    kubeadm:
      description: What C(kubeadm certs renew) calls it; nothing where kubeadm does not renew it. Not there for servers.
      type: str
      returned: for files
served:
  description: What each server of this node shows now, with the same keys.
  returned: always
  type: list
  elements: dict
  contains:
    port:
      description: Where it was asked.
      type: int
      returned: always
    current:
      description: Whether it shows what its file holds. Nothing where there is no file, or no answer.
      type: bool
      returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._certificates_state import NodeCertificates


def main() -> t.NoReturn:
    """Read and tell."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    certificates = NodeCertificates()
    module.exit_json(changed=False, files=certificates.files(), served=certificates.served())
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
