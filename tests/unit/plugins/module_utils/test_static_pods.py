"""Static pods restarted one by one, on a node whose container runtime and kubelet are played."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _static_pods
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._servers import Server
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pods import NAMES, StaticPods
from ansible_collections.kubestead.cluster.plugins.modules import static_pod_restart


class Node:
    """containerd and the kubelet: a container that is removed comes back as another one, unless it is said to stay away."""

    root = "/nowhere"

    def __init__(self, *names: str) -> None:
        self.static_pods = list(names)
        self.containers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        self.started = 0
        self.away: set[str] = set()
        self.healthy = True
        for name in names:
            self._start(name)

    def api_healthy(self) -> bool:
        return self.healthy

    def _start(self, name: str) -> None:
        self.started += 1
        self.containers[name].append(
            {"id": f"{name}-{self.started}", "state": "CONTAINER_RUNNING", "createdAt": str(self.started)}
        )

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        words = command[1:]
        if words[0] == "ps":
            (label,) = [word for word in words if word.startswith("--label=io.kubernetes.container.name=")]
            return 0, json.dumps({"containers": self.containers[label.rpartition("=")[2]]}), ""
        name = words[-1].rpartition("-")[0]
        (container,) = [item for item in self.containers[name] if item["id"] == words[-1]]
        if words[0] == "stop":
            container["state"] = "CONTAINER_EXITED"
        else:
            assert container["state"] == "CONTAINER_EXITED"
            self.containers[name].remove(container)
            if name not in self.away and not self.containers[name]:
                self._start(name)
        return 0, "", ""


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leader:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def status(self) -> dict[str, Any]:
            return {"leader": "7"}

    monkeypatch.setattr(_static_pods, "Etcd", Leader)
    monkeypatch.setattr(_static_pods.Servers, "pod", lambda _self, name: Server(name, "192.0.2.1", 1, None))
    monkeypatch.setattr(_static_pods, "_complaint_of_health", lambda _host, _port: "")


@pytest.fixture
def pods(fake_module: type[Any]) -> Callable[..., StaticPods]:
    return lambda node: StaticPods(fake_module(node.answer), node)


def test_each_pod_gets_a_new_container_in_their_order(pods: Callable[..., StaticPods]) -> None:
    node = Node(*sorted(NAMES))
    done = pods(node).restart(pods(node).chosen([]), 5)
    assert [item["name"] for item in done] == list(NAMES)
    assert [item["container"] for item in done] == [f"{name}-{number}" for number, name in enumerate(NAMES, 5)]


def test_what_ended_before_is_removed_too_since_the_kubelet_would_hold_back_the_next(
    pods: Callable[..., StaticPods],
) -> None:
    node = Node("kube-scheduler")
    node.containers["kube-scheduler"].insert(
        0, {"id": "kube-scheduler-0", "state": "CONTAINER_EXITED", "createdAt": "0"}
    )
    pods(node).restart(["kube-scheduler"], 5)
    assert [item["id"] for item in node.containers["kube-scheduler"]] == ["kube-scheduler-2"]


def test_a_pod_that_was_down_is_started(pods: Callable[..., StaticPods]) -> None:
    node = Node("kube-scheduler")
    node.containers["kube-scheduler"][0]["state"] = "CONTAINER_EXITED"
    assert pods(node).container("kube-scheduler") is None
    (done,) = pods(node).restart(["kube-scheduler"], 5)
    assert done["container"] == "kube-scheduler-2"


def test_the_first_that_stays_away_ends_it_and_those_after_it_are_left(pods: Callable[..., StaticPods]) -> None:
    node = Node(*NAMES)
    node.away = {"kube-apiserver"}
    with pytest.raises(KubesteadError) as caught:
        pods(node).restart(NAMES, 0.3)
    assert "a new and healthy kube-apiserver" in caught.value.message
    assert "Last seen: no container of it runs." in caught.value.message
    assert caught.value.message.endswith(
        "Restarted before it: etcd. Left as they are: kube-controller-manager, kube-scheduler."
    )
    assert caught.value.details["restarted"] == ["etcd"]
    assert [item["id"] for item in node.containers["kube-scheduler"]] == ["kube-scheduler-4"]


def test_a_new_container_that_is_not_healthy_is_not_enough(pods: Callable[..., StaticPods]) -> None:
    node = Node("kube-apiserver")
    node.healthy = False
    with pytest.raises(KubesteadError, match="its /readyz does not answer with 200"):
        pods(node).restart(["kube-apiserver"], 0.3)


def test_the_old_container_is_not_taken_for_the_new_one(pods: Callable[..., StaticPods]) -> None:
    node = Node("kube-apiserver")
    with pytest.raises(KubesteadError, match="the old container still runs"):
        pods(node).wait_for_new("kube-apiserver", "kube-apiserver-1", 0.3)
    assert pods(node).wait_for_new("kube-apiserver", None, 1) == "kube-apiserver-1"


def test_a_pod_that_is_not_here_is_refused(pods: Callable[..., StaticPods]) -> None:
    with pytest.raises(KubesteadError, match=r"no static pod etcd: .* holds kube-apiserver\. Nothing was restarted"):
        pods(Node("kube-apiserver")).chosen(["etcd", "kube-apiserver"])


def test_etcd_without_a_leader_is_not_healthy(pods: Callable[..., StaticPods], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_static_pods.Etcd, "status", lambda _self: {"errors": ["etcdserver: no leader"]})
    assert "no leader" in pods(Node("etcd")).complaint("etcd")
    monkeypatch.setattr(_static_pods.Etcd, "status", lambda _self: {"leader": "7", "errors": ["NOSPACE"]})
    assert pods(Node("etcd")).complaint("etcd") == "NOSPACE"


def test_a_server_that_does_not_listen_is_not_healthy(
    pods: Callable[..., StaticPods], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(_static_pods.Servers, "pod", lambda _self, name: Server(name, "127.0.0.1", 1, None))
    assert pods(Node()).complaint("kube-scheduler").startswith("https://127.0.0.1:1/healthz: ")
    monkeypatch.setattr(_static_pods.Servers, "pod", lambda _self, _name: None)
    assert pods(Node()).complaint("kube-scheduler") == "it has no manifest"


def test_the_module_says_in_check_mode_what_it_would_restart(
    fake_module: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node("kube-scheduler", "etcd")
    module = fake_module(node.answer, names=[], timeout=5)
    module.check_mode = True
    monkeypatch.setattr(static_pod_restart, "StaticPods", lambda _module: StaticPods(module, node))  # type: ignore[arg-type]
    assert static_pod_restart.restart(module) == {
        "changed": True,
        "restarted": [{"name": "etcd"}, {"name": "kube-scheduler"}],
    }
    assert not module.commands


def test_the_module_restarts_under_the_node_s_lock(
    fake_module: type[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = Node("kube-scheduler")
    module = fake_module(node.answer, names=["kube-scheduler"], timeout=5)
    lock = static_pod_restart.node_lock
    monkeypatch.setattr(static_pod_restart, "node_lock", lambda timeout: lock(timeout, str(tmp_path / "lock")))
    monkeypatch.setattr(static_pod_restart, "StaticPods", lambda _module: StaticPods(module, node))  # type: ignore[arg-type]
    result = static_pod_restart.restart(module)
    assert (result["changed"], result["restarted"][0]["container"]) == (True, "kube-scheduler-2")
    assert (tmp_path / "lock").exists()


def test_a_pod_that_begins_again_and_again_is_told_from_one_that_is_new(
    fake_module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = StaticPods(fake_module(lambda _command, _data: (0, "", "")))
    containers = [
        {"id": "old", "createdAt": "1", "metadata": {"attempt": 7}},
        {"id": "new", "createdAt": "2", "metadata": {"attempt": 2}},
    ]
    monkeypatch.setattr(pods, "_containers", lambda _name: containers)
    assert pods.attempts("kube-apiserver", "old") == 2
    assert pods.attempts("kube-apiserver", "new") == 0
