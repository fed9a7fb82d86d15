# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl: objects in, objects out."""

from __future__ import annotations

import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import Outcome, Tool

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

CACHE_PATH = "/run/kubestead-kubectl-cache"


class Kubectl(Tool):
    """The kubectl of this node, speaking to one cluster."""

    name = "kubectl"

    def __init__(self, module: AnsibleModule, kubeconfig: str) -> None:
        super().__init__(module)
        self.kubeconfig = kubeconfig

    def run(self, *args: str, **options: t.Any) -> Outcome:
        """Run kubectl against this cluster."""
        return super().run(*args, "--kubeconfig", self.kubeconfig, "--cache-dir", CACHE_PATH, **options)

    def get(self, *args: str) -> list[dict[str, t.Any]]:
        """Objects as the API server has them; those that do not exist are left out."""
        return [
            item for item in self.run_json("get", *args, "--ignore-not-found", "-o", "json") if isinstance(item, dict)
        ]
