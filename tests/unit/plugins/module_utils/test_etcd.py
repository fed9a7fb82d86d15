"""Members of etcd, from what a real cluster of two answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import (
    Etcd,
    ExternalEtcd,
    host_of,
    hosts_of_manifest,
    parse_members,
)

Recorded = Callable[[str], str]


def test_members(recorded: Recorded) -> None:
    members = parse_members(json.loads(recorded("etcd_members.json")))
    assert {member.name: member.hosts for member in members} == {
        "control-plane-1": ("172.29.97.11",),
        "worker-2": ("172.29.97.22",),
    }
    assert all(member.id.isdigit() and not member.learner for member in members)


def test_a_member_that_has_not_started_has_no_name() -> None:
    (member,) = parse_members({"members": [{"ID": "7", "peerURLs": ["https://[fd00::7]:2380"], "isLearner": True}]})
    assert (member.name, member.hosts, member.learner) == ("", ("fd00::7",), True)


def test_hosts_in_the_manifest_of_a_joined_control_plane(recorded: Recorded) -> None:
    assert hosts_of_manifest(recorded("etcd.yaml")) == ["172.29.97.22", "172.29.97.11"]
    assert hosts_of_manifest("kind: Pod\n") == []


def test_hosts_of_addresses() -> None:
    assert host_of("https://10.0.0.1:2380") == "10.0.0.1"
    assert host_of("https://[fd00::1]:2380") == "fd00::1"


class Scripted(Etcd):
    """Answers from a table of hosts, without a network."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(list(answers))
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    def _try(self, host: str, path: str, question: Any, failures: list[str]) -> dict[str, Any] | None:
        self.asked.append((host, path, question))
        answer = self.answers[host]
        if isinstance(answer, str):
            failures.append(f"{host}: {answer}")
            return None
        return dict(answer)


def test_the_next_member_is_asked_where_one_is_silent(recorded: Recorded) -> None:
    etcd = Scripted({"a": "refused", "b": json.loads(recorded("etcd_members.json"))})
    member = etcd.members()[0]
    etcd.remove(member)
    assert [asked[0] for asked in etcd.asked] == ["a", "b", "a", "b"]
    assert etcd.asked[-1][1:] == ("/v3/cluster/member/remove", {"ID": member.id})


def test_silence_of_all_is_told_with_reasons() -> None:
    with pytest.raises(KubesteadError, match="No member of etcd answers: a: refused; b: timed out"):
        Scripted({"a": "refused", "b": "timed out"}).members()
    with pytest.raises(KubesteadError, match="none is known"):
        Scripted({}).members()


EXTERNAL = {
    "endpoints": ["https://etcd-1:2379", "https://[fd00::1]:4001"],
    "caFile": "/e/ca.crt",
    "certFile": "/e/client.crt",
    "keyFile": "/e/client.key",
}


class ScriptedExternal(ExternalEtcd):
    """Answers from a list, one for each host; text is a failure to answer, None a refusal."""

    def __init__(self, *answers: dict[str, Any] | str | None) -> None:
        super().__init__(EXTERNAL)
        self.answers = dict(zip(self.hosts, answers, strict=True))
        self.questions: list[Any] = []

    def _try(self, host: str, path: str, question: Any, failures: list[str]) -> dict[str, Any] | None:
        self.questions.append((path, question))
        answer = self.answers[host]
        if isinstance(answer, dict):
            return answer
        self.answered = self.answered or answer is None
        failures.append(f"{host}: {answer}")
        return None


def test_an_etcd_of_ones_own_is_asked_at_its_endpoints_with_its_files() -> None:
    etcd = ExternalEtcd(EXTERNAL)
    assert etcd.hosts == ["etcd-1:2379", "[fd00::1]:4001"]
    assert (etcd.port, etcd.files) == (None, ("/e/ca.crt", "/e/client.crt", "/e/client.key"))


def test_keys_below_a_prefix_and_not_beside_it() -> None:
    etcd = ScriptedExternal("refused", {"kvs": [{"key": "L3JlZ2lzdHJ5L2E="}], "count": "1"})
    assert etcd.holds("/registry") is True
    path, question = etcd.questions[-1]
    assert path == "/v3/kv/range"
    asked = [base64.b64decode(question[name]).decode() for name in ("key", "range_end")]
    assert asked == ["/registry/", "/registry0"]
    assert asked[0] <= "/registry/a" < asked[1]
    assert not asked[0] <= "/registry-2/a" < asked[1]
    assert ScriptedExternal({"header": {}}, {}).holds("/registry/") is False


def test_an_etcd_that_answers_and_does_not_tell_is_another_thing_than_silence() -> None:
    assert ScriptedExternal("refused", None).holds("/registry") is None
    with pytest.raises(
        KubesteadError, match=r"No member of etcd answers: etcd-1:2379: refused; \[fd00::1\]:4001: timed"
    ):
        ScriptedExternal("refused", "timed out").holds("/registry")
