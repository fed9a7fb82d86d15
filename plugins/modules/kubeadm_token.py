#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: bootstrap tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Make, delete and list the bootstrap tokens with which nodes join a cluster
description:
  - Runs on a control plane.
  - The secret part of a token is never an argument of a command, and is shown in RV(token) alone.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.action_group_kubeadm
attributes:
  check_mode:
    support: full
    details: A token that would be made is not known yet, so RV(token) is empty.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: While a token of the same description has at least half of O(ttl) left.
options:
  state:
    description:
      - V(present) gives a token. One of the same O(description), O(usages) and O(groups) that has between half of O(ttl) and O(ttl) left is
        used again.
      - V(absent) deletes the token O(token), or, without it, all tokens of this O(description).
      - V(listed) only lists.
    type: str
    choices: [present, absent, listed]
    default: present
  token:
    description:
      - The token, six characters, a dot and sixteen characters, all of C(a-z0-9). For O(state=absent) the first six are enough.
      - Without it, O(state=present) has kubeadm make up a random one.
    type: str
  ttl:
    description: How long a new token is good, as V(30m) or V(24h). V(0) means for ever.
    type: str
    default: 24h
  description:
    description: What the token is for, to be read by people. Tokens are told apart by it.
    type: str
    default: Made by Kubestead
  usages:
    description: What the token may be used for.
    type: list
    elements: str
    choices: [signing, authentication]
    default: [signing, authentication]
  groups:
    description: Groups that its bearer belongs to.
    type: list
    elements: str
    default: ["system:bootstrappers:kubeadm:default-node-token"]
  kubeconfig:
    description: Credentials of an administrator, a file on the node.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Get a token for joining
  kubestead.cluster.kubeadm_token:
    ttl: 30m
    description: Workers of this run
  register: token
  no_log: true

- name: See which tokens there are
  kubestead.cluster.kubeadm_token:
    state: listed

- name: Revoke the token
  kubestead.cluster.kubeadm_token:
    state: absent
    token: "{{ token.token }}"
"""

RETURN = r"""
token:
  description:
    - The token, a secret. Register it in a task with C(no_log). Empty in check mode where one would be made.
    - Where the option O(token) was given, Ansible hides it here as everywhere.
  returned: for O(state=present)
  type: str
id:
  description: The public part of the token. Empty in check mode where one would be made.
  returned: for O(state=present)
  type: str
tokens:
  description: All tokens of the cluster as they are after the task, without their secrets.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The public part.
      type: str
      returned: always
    description:
      description: What it is for.
      type: str
      returned: always
    expires:
      description: When it expires, in UTC. Null means never.
      type: str
      returned: always
    usages:
      description: What it may be used for.
      type: list
      elements: str
      returned: always
    groups:
      description: Groups that its bearer belongs to.
      type: list
      elements: str
      returned: always
  sample: [{id: abcdef, description: Workers of this run, expires: "2026-11-21T06:30:00Z"}]
"""

import datetime
import json
import math
import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    TOKEN,
    Kubeadm,
    seconds,
    seconds_left,
    token_summary,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude

# Seconds by which the clocks of two control planes may differ.
CLOCK_TOLERANCE = 60

Token = t.Dict[str, t.Any]


class Tokens:
    """The bootstrap tokens of a cluster."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.kubeadm = Kubeadm(module)
        self.now = datetime.datetime.now(datetime.timezone.utc)

    def perform(self) -> dict[str, t.Any]:
        """Do what the state asks for."""
        self._check_parameters()
        before = self._list()
        if self.params["state"] == "listed":
            return {"changed": False, "tokens": [token_summary(token) for token in before]}
        result = self._present(before) if self.params["state"] == "present" else self._absent(before)
        shown = [token_summary(token) for token in before]
        result["diff"] = {"before": {"tokens": shown}, "after": {"tokens": result["tokens"]}}
        return result

    def _check_parameters(self) -> None:
        token = self.params["token"]
        shape = TOKEN if self.params["state"] == "present" else re.compile(rf"{TOKEN.pattern}|[a-z0-9]{{6}}")
        if token and not shape.fullmatch(token):
            raise KubesteadError(
                "token is not a bootstrap token, which has six characters, a dot and sixteen characters, all of a-z and 0-9. "
                "Leave it out, and kubeadm makes up one."
            )
        seconds(self.params["ttl"])

    def _list(self) -> list[Token]:
        kubeconfig = self.params["kubeconfig"]
        if not os.path.exists(kubeconfig):
            if self.module.check_mode:
                return []
            raise KubesteadError(
                f"{kubeconfig} is not on this node. Tokens are made on a control plane: delegate the task to one."
            )
        return self.kubeadm.tokens(kubeconfig)

    def _present(self, before: list[Token]) -> dict[str, t.Any]:
        for token in before:
            if self._fits(token):
                return self._result(False, before, str(token["token"]))
        if self.module.check_mode:
            return self._result(True, before, self.params["token"] or "")
        if self.params["token"]:
            self._store(any(token["token"][:6] == self.params["token"][:6] for token in before))
            return self._result(True, self._list(), self.params["token"])
        created = self.kubeadm.create_token(
            *(self.params[name] for name in ("kubeconfig", "ttl", "description", "usages", "groups"))
        )
        return self._result(True, self._list(), created)

    def _result(self, changed: bool, tokens: list[Token], token: str) -> dict[str, t.Any]:
        return {
            "changed": changed,
            "token": token,
            "id": token.partition(".")[0],
            "tokens": [token_summary(entry) for entry in tokens],
        }

    def _fits(self, token: Token) -> bool:
        given = self.params["token"]
        if (given and token["token"] != given) or token.get("description", "") != self.params["description"]:
            return False
        if any(set(token.get(name, [])) != set(self.params[name]) for name in ("usages", "groups")):
            return False
        wanted = seconds(self.params["ttl"])
        left = seconds_left(token, self.now)
        return wanted / 2 <= left <= wanted + CLOCK_TOLERANCE if wanted else math.isinf(left)

    def _store(self, exists: bool) -> None:
        """Store a given token; kubeadm would want it as an argument, which every process on the node can read."""
        token_id, secret = self.params["token"].split(".")
        data = {"token-id": token_id, "token-secret": secret, "description": self.params["description"]}
        data.update({f"usage-bootstrap-{usage}": "true" for usage in self.params["usages"]})
        data["auth-extra-groups"] = ",".join(self.params["groups"])
        lifetime = seconds(self.params["ttl"])
        if lifetime:
            expires = self.now + datetime.timedelta(seconds=lifetime)
            data["expiration"] = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
            "stringData": data,
        }
        kubectl = Kubectl(self.module, self.params["kubeconfig"])
        kubectl.run("replace" if exists else "create", "-f", "-", data=json.dumps(document))

    def _absent(self, before: list[Token]) -> dict[str, t.Any]:
        if self.params["token"] is None:
            doomed = [token for token in before if token.get("description", "") == self.params["description"]]
        else:
            # An empty token is what check mode gave to a task that would have made one.
            wanted = self.params["token"].partition(".")[0]
            doomed = [token for token in before if token["token"][:6] == wanted]
        if not self.module.check_mode:
            for token in doomed:
                self.kubeadm.delete_token(self.params["kubeconfig"], token["token"][:6])
        kept = [token_summary(token) for token in before if token not in doomed]
        return {"changed": bool(doomed), "tokens": kept}


def main() -> t.NoReturn:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent", "listed"], "default": "present"},
            "token": {"type": "str", "no_log": True},
            "ttl": {"type": "str", "default": "24h"},
            "description": {"type": "str", "default": "Made by Kubestead"},
            "usages": {
                "type": "list",
                "elements": "str",
                "choices": ["signing", "authentication"],
                "default": ["signing", "authentication"],
            },
            "groups": {
                "type": "list",
                "elements": "str",
                "default": ["system:bootstrappers:kubeadm:default-node-token"],
            },
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    conclude(module, Tokens(module).perform)


if __name__ == "__main__":
    main()
