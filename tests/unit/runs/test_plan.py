"""The words of a plan, made from events that Ansible sent in check mode, and from a few that no machine here could send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubestead.runs.plan import Plan

RECORDED = Path(__file__).parent / "recorded" / "plan.json"


@pytest.fixture(scope="module")
def phrases() -> list[str]:
    plan = Plan()
    for event in json.loads(RECORDED.read_text(encoding="utf-8")):
        plan.feed(event)
    assert plan.changes
    assert set(plan.hosts) == {"worker-1"}
    return plan.hosts["worker-1"]


def worded(action: str, result: dict[str, Any], event: str = "runner_on_ok", role: str = "") -> list[str]:
    plan = Plan()
    data = {"host": "worker-1", "task": "Do a thing", "resolved_action": action, "role": role, "res": result}
    plan.feed({"event": event, "event_data": data})
    return plan.hosts["worker-1"]


@pytest.mark.parametrize(
    "phrase",
    [
        "writes /etc/hosts",
        "writes /etc/haproxy/haproxy.cfg, /etc/systemd/system/haproxy.service.d/kubestead.conf, restarts haproxy.service",
        "writes /etc/apt/sources.list.d/kubernetes.sources",
        "installs haproxy 2.6.12",
        "installs 3 packages that they need",
        "makes the folder /nowhere/one",
        "makes the folder /nowhere/two",
        "removes /etc/hostname",
        "pulls pause:3.10.2, kube-proxy:v1.36.4",
        "names the mirrors of registry.k8s.io",
        "becomes the first control plane",
        "joins as worker",
        "joins as control plane",
        "apply flannel's objects",
    ],
)
def test_what_modules_tell_in_check_mode_has_words(phrases: list[str], phrase: str) -> None:
    assert phrase in phrases


def test_the_recording_holds_nothing_else_and_nothing_secret(phrases: list[str]) -> None:
    assert len(phrases) == 14
    assert not any("secret" in phrase for phrase in phrases)


def test_phrases_stand_in_the_order_of_the_run(phrases: list[str]) -> None:
    assert phrases.index("installs haproxy 2.6.12") < phrases.index("joins as worker")


def test_a_service_that_only_reloads_is_not_said_to_restart() -> None:
    files = [{"path": "/etc/a", "reload": "haproxy.service"}, {"path": "/etc/b", "restart": "haproxy.service"}]
    result = {
        "changed": True,
        "written": ["/etc/a"],
        "services": ["haproxy.service"],
        "invocation": {"module_args": {"files": files}},
    }
    assert worded("kubestead.cluster.files", result) == ["writes /etc/a, reloads haproxy.service"]


def test_an_upgrade_names_both_versions() -> None:
    result = {
        "changed": True,
        "invocation": {"module_args": {"package": ["kubeadm=1.36.4-*", "kubelet=1.36.4-*"]}},
        "stdout": "Inst kubeadm [1.36.3-1.1] (1.36.4-1.1 stable [amd64])\n"
        "Inst kubelet [1.36.4-1.1] (1.36.4-1.2 stable [amd64])\nConf kubeadm (1.36.4-1.1 stable [amd64])\n",
    }
    assert worded("ansible.builtin.apt", result) == ["kubeadm 1.36.3 → 1.36.4", "kubelet 1.36.4-1.1 → 1.36.4-1.2"]


def test_packages_of_rpm() -> None:
    result = {"changed": True, "results": ["Installed: haproxy-2.4.22-3.el9.x86_64"]}
    assert worded("ansible.builtin.dnf", result) == ["installs haproxy-2.4.22-3.el9.x86_64"]


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"name": "haproxy.service", "state": "started", "enabled": True}, "starts haproxy.service"),
        ({"name": "containerd.service", "state": "restarted"}, "restarts containerd.service"),
        ({"name": "firewalld.service", "state": "stopped", "enabled": False}, "stops firewalld.service"),
        ({"name": "kubelet.service", "enabled": True}, "enables kubelet.service"),
    ],
)
def test_services(arguments: dict[str, Any], phrase: str) -> None:
    assert worded("ansible.builtin.systemd_service", {"changed": True, "invocation": {"module_args": arguments}}) == [
        phrase
    ]


def test_objects_of_a_cluster() -> None:
    objects = [
        {"kind": "Namespace", "name": "kube-flannel", "action": "unchanged"},
        {"kind": "ConfigMap", "name": "kube-flannel-cfg", "action": "changed"},
        {"kind": "DaemonSet", "name": "kube-flannel-ds", "action": "created"},
    ]
    assert worded("kubestead.cluster.kubectl_apply", {"changed": True, "objects": objects}) == [
        "creates DaemonSet kube-flannel-ds in the cluster",
        "changes ConfigMap kube-flannel-cfg in the cluster",
    ]


def test_packages_that_check_mode_cannot_look_up_are_told_by_the_role() -> None:
    action, skipped = "ansible.builtin.apt", "runner_on_skipped"
    assert worded(action, {}, skipped, "containerd") == ["installs containerd"]
    assert worded(action, {}, skipped, "kubestead.cluster.kube_packages") == ["installs kubeadm, kubelet and kubectl"]
    assert worded(action, {}, skipped, "keepalived") == ["installs keepalived"]
    assert worded(action, {}, skipped, "somebody.elses") == []
    assert worded("ansible.builtin.command", {}, skipped, "containerd") == []


def test_whatever_has_no_words_of_its_own_is_told_by_the_name_of_its_task() -> None:
    assert worded("ansible.builtin.yum_repository", {"changed": True}) == ["do a thing"]
    assert worded("kubestead.cluster.container_images", {"changed": True}) == ["do a thing"]


def test_what_is_taken_back_within_the_run_is_no_change() -> None:
    assert worded("kubestead.cluster.kubeadm_token", {"changed": True}) == []


def test_a_host_without_a_change_is_known() -> None:
    plan = Plan()
    plan.feed({"event": "runner_on_ok", "event_data": {"host": "worker-1", "res": {"changed": False}}})
    plan.feed({"event": "playbook_on_stats", "event_data": {}})
    assert plan.hosts == {"worker-1": []}
    assert not plan.changes


@pytest.mark.parametrize("result", [None, "text", {"censored": "hidden"}, {"changed": True}])
@pytest.mark.parametrize(
    "action",
    [
        *("ansible.builtin.apt", "ansible.builtin.copy", "ansible.builtin.dnf", "ansible.builtin.file"),
        *("ansible.builtin.hostname", "ansible.builtin.systemd_service", "kubestead.cluster.files"),
        *("kubestead.cluster.kubeadm_join", "kubestead.cluster.registry_mirrors", "a.module.of_somebody"),
    ],
)
def test_results_that_lack_what_they_usually_have_do_no_harm(action: str, result: Any) -> None:
    assert all(phrase for phrase in worded(action, result))
