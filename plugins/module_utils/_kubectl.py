# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl: objects in, objects out."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import Outcome, Tool

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

CACHE_PATH = "/run/kubestead-kubectl-cache"
PATIENCE = 60.0
"""Seconds that an API server may take to come back on a machine that works: the kubelet starts it again, and it waits for etcd."""
# What clients hear from an API server that starts or ends, and from etcd while it has no leader.
_PASSING = re.compile(
    r"connection refused|was refused - did you specify|connection reset|\bEOF\b|handshake timeout|i/o timeout"
    r"|unable to handle the request|ServiceUnavailable|etcdserver: (?:leader changed|no leader|request timed out)"
)


class Kubectl(Tool):
    """The kubectl of this node, speaking to one cluster.

    patience is for how many seconds a request is repeated while the API server cannot be reached, as when it was just started again.
    """

    name = "kubectl"

    def __init__(self, module: AnsibleModule, kubeconfig: str, patience: float = 0) -> None:
        super().__init__(module)
        self.kubeconfig = kubeconfig
        self.patience = patience

    def run(self, *args: str, check: bool = True, advice: str = "", **options: t.Any) -> Outcome:
        """Run kubectl against this cluster."""
        deadline = time.monotonic() + self.patience
        command = (*args, "--kubeconfig", self.kubeconfig, "--cache-dir", CACHE_PATH)
        while True:
            outcome = super().run(*command, check=False, **options)
            if outcome.rc == 0 or time.monotonic() >= deadline or not _PASSING.search(outcome.stderr):
                break
            time.sleep(1)
        if check and outcome.rc != 0:
            raise outcome.error(advice)
        return outcome

    def get(self, *args: str) -> list[dict[str, t.Any]]:
        """Objects as the API server has them; those that do not exist are left out."""
        return [
            item for item in self.run_json("get", *args, "--ignore-not-found", "-o", "json") if isinstance(item, dict)
        ]
