"""How a cluster is, from what real ones answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _cluster_state
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd

Recorded = Callable[[str], str]


@pytest.fixture
def items(recorded: Recorded) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recorded("nodes.json"))["items"]
    return found


class Asked:
    """A kubectl that has its answer ready."""

    def __init__(self, answer: list[dict[str, Any]] | KubesteadError) -> None:
        self.answer = answer

    def get(self, *args: str) -> list[dict[str, Any]]:
        assert args[0] == "nodes"
        if isinstance(self.answer, KubesteadError):
            raise self.answer
        return self.answer


class Member(Etcd):
    """Answers by path, without a network."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(["localhost"])
        self.answers = answers

    def _try(self, host: str, path: str, question: Any, failures: list[str]) -> dict[str, Any] | None:
        answer = self.answers.get(path.rpartition("/")[2])
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            failures.append(f"{host}: refused")
        return answer  # type: ignore[no-any-return]


def test_nodes_of_a_running_cluster(items: list[dict[str, Any]]) -> None:
    found = _cluster_state.nodes(Asked(items))
    assert found["api_error"] == ""
    first = found["nodes"][0]
    assert first == {
        "name": "control-plane-1",
        "ready": True,
        "message": "",
        "schedulable": True,
        "control_plane": True,
        "version": "v1.36.4",
        "address": "172.29.95.11",
    }
    assert [node["control_plane"] for node in found["nodes"][1:]] == [False] * (len(items) - 1)


def test_a_node_that_is_not_ready_says_why() -> None:
    conditions = [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}]
    item = {"metadata": {"name": "w"}, "spec": {"unschedulable": True}, "status": {"conditions": conditions}}
    found = _cluster_state.node(item)
    assert not found["ready"]
    assert not found["schedulable"]
    assert found["message"] == "Kubelet stopped posting node status."


def test_a_node_that_has_just_joined_knows_little() -> None:
    found = _cluster_state.node({"metadata": {"name": "w"}})
    assert not found["ready"]
    assert found["message"] == "its kubelet has not reported yet"


def test_an_api_server_that_does_not_answer_is_no_failure() -> None:
    assert _cluster_state.nodes(Asked(KubesteadError("refused"))) == {"nodes": [], "api_error": "refused"}


def test_a_member_of_etcd(recorded: Recorded) -> None:
    members = json.loads(recorded("etcd_members.json"))
    found = _cluster_state.etcd(Member({"status": {"version": "3.6.8", "leader": "7"}, "list": members}), [])
    assert found["healthy"]
    assert found["version"] == "3.6.8"
    assert {member["name"] for member in found["members"]} == {"control-plane-1", "worker-2"}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"status": {"version": "3.6.8", "errors": ["etcdserver: no leader"]}}, "no leader"),
        ({"status": {"version": "3.6.8", "leader": "7", "errors": ["NOSPACE"]}, "list": {"members": []}}, "NOSPACE"),
        ({"status": {"version": "3.6.8", "leader": "7"}}, "No member of etcd answers: localhost: refused."),
        ({}, "No member of etcd answers"),
        ({"status": FileNotFoundError(2, "No such file")}, "No such file"),
    ],
)
def test_a_member_that_is_not_well(answers: dict[str, Any], message: str) -> None:
    found = _cluster_state.etcd(Member(answers), [])
    assert found["healthy"] is False
    assert message in found["error"]


def test_an_etcd_of_the_users_own_is_not_asked() -> None:
    found = _cluster_state.etcd(Member({"status": AssertionError()}), ["https://etcd-1:2379"])
    assert found["external"] == ["https://etcd-1:2379"]
    assert found["healthy"] is None


def test_expiries_of_files_and_kubeconfigs(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "pki/etcd").mkdir(parents=True)
    (tmp_path / "pki/apiserver.crt").write_text(recorded("kubelet_client.pem"), encoding="utf-8")
    (tmp_path / "pki/etcd/ca.crt").write_text(recorded("ca_ec.pem"), encoding="utf-8")
    (tmp_path / "pki/sa.crt").write_text("nonsense", encoding="utf-8")
    data = base64.b64encode(recorded("kubelet_client.pem").encode()).decode()
    (tmp_path / "admin.conf").write_text(f"users:\n- user:\n    client-certificate-data: {data}\n", encoding="utf-8")
    (tmp_path / "scheduler.conf").write_text("users:\n- user:\n    client-certificate-data: '='\n", encoding="utf-8")
    found = {one["name"]: one for one in _cluster_state.expiries(str(tmp_path))}
    assert set(found) == {"pki/apiserver.crt", "pki/etcd/ca.crt", "pki/sa.crt", "admin.conf", "scheduler.conf"}
    assert found["pki/apiserver.crt"]["expires"] == found["admin.conf"]["expires"]
    assert found["admin.conf"]["expires"].endswith("Z")
    assert "No certificate in" in found["pki/sa.crt"]["error"]
    assert found["scheduler.conf"]["error"]
