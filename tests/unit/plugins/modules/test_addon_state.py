"""The owners of workloads are told once each, with their versions and what they lack."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kubestead.cluster.plugins.modules.addon_state import look


def workload(owner: str, image: str = "", available: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": owner, "namespace": "kube-system", "labels": {"kubestead.io/owner": owner}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"updatedReplicas": 2, "availableReplicas": available},
    }


def test_each_add_on_is_told_once(fake_module: Any) -> None:
    items = [workload("metrics-server"), workload("dashboard"), workload("dashboard")]
    module = fake_module(
        lambda command, data: (0, json.dumps({"kind": "List", "items": items}), ""), kubeconfig="admin.conf"
    )
    assert look(module)["ansible_facts"]["kubestead_addons"] == ["dashboard", "metrics-server"]
    assert "kubestead.io/owner" in module.commands[0]


def test_each_workload_is_told_with_version_and_trouble(fake_module: Any) -> None:
    items = [
        workload("metrics-server", "192.0.2.1:8765/metrics-server/metrics-server:v0.8.1@sha256:abc", 1),
        workload("dashboard", "192.0.2.1:8765/dashboard", 2),
    ]
    module = fake_module(
        lambda command, data: (0, json.dumps({"kind": "List", "items": items}), ""), kubeconfig="admin.conf"
    )
    first, second = look(module)["ansible_facts"]["kubestead_addon_workloads"]
    assert first == {"addon": "dashboard", "name": "Deployment kube-system/dashboard", "version": "", "trouble": ""}
    assert (second["version"], second["trouble"]) == ("v0.8.1", "1 of 2 pods are ready")
