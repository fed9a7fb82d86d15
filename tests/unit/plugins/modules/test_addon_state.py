"""The owners of workloads are told once each."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kubestead.cluster.plugins.modules.addon_state import look


def workload(owner: str) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": owner, "labels": {"kubestead.io/owner": owner}}}


def test_each_add_on_is_told_once(fake_module: Any) -> None:
    items = [workload("metrics-server"), workload("flannel"), workload("flannel")]
    module = fake_module(
        lambda command, data: (0, json.dumps({"kind": "List", "items": items}), ""), kubeconfig="admin.conf"
    )
    assert look(module)["ansible_facts"] == {"kubestead_addons": ["flannel", "metrics-server"]}
    assert "kubestead.io/owner" in module.commands[0]
