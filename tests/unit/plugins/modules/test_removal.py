"""Which nodes may leave, judged by a cluster of three control planes and two workers, and etcd's majority at each step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd_quorum as quorum
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Member
from ansible_collections.kubestead.cluster.plugins.module_utils._removal import Removal, Request, Seen, report
from ansible_collections.kubestead.cluster.plugins.modules import removal_plan
from ansible_collections.kubestead.cluster.plugins.modules.etcd_member_remove import remove

CONTROL_PLANES = ["control-plane-1", "control-plane-2", "control-plane-3"]
WORKERS = ["worker-1", "worker-2"]
HOSTS: dict[str, list[str]] = {
    **{name: ["control_plane"] for name in CONTROL_PLANES},
    **{name: ["workers"] for name in WORKERS},
    "load-balancer-1": ["load_balancers"],
}


def member(name: str, number: int, learner: bool = False) -> Member:
    return Member(str(number), name, (f"192.0.2.{number}",), learner)


def cluster(
    count: int = 3, dead: tuple[str, ...] = (), silent: tuple[str, ...] = (), external: bool = False, **changes: Any
) -> Seen:
    """A cluster with as many control planes, and two workers; members of etcd that are dead, kubelets that are silent."""
    names = [f"control-plane-{number}" for number in range(1, count + 1)]
    nodes = {name: {"control_plane": name in names, "address": ""} for name in (*names, *WORKERS)}
    members = [] if external else [member(name, number) for number, name in enumerate(names, 1)]
    healthy = {one.id for one in members if one.name not in dead}
    return Seen(nodes, silent, members, healthy)._replace(**changes)


def judge(*names: str, seen: Seen | None = None, dead: bool = False, unreachable: tuple[str, ...] = ()) -> Removal:
    return Removal(Request(list(names), HOSTS, unreachable, dead), seen or cluster())


def order(removal: Removal) -> list[str]:
    assert removal.mistakes() == []
    return [node.name for node in removal.ordered()]


def test_workers_come_first_then_a_control_plane() -> None:
    removal = judge("control-plane-1", "worker-2", "worker-1", "worker-2")
    assert order(removal) == ["worker-1", "worker-2", "control-plane-1"]
    last = removal.ordered()[-1]
    assert last._asdict() == {
        "name": "control-plane-1",
        "control_plane": True,
        "exists": True,
        "etcd_member": True,
        "in_inventory": True,
        "reachable": True,
        "dead": False,
    }


def test_a_dead_control_plane_goes_before_a_living_one() -> None:
    seen = cluster(5, dead=("control-plane-2",), silent=("control-plane-2",))
    assert order(judge("control-plane-1", "control-plane-2", seen=seen, dead=True)) == [
        "control-plane-2",
        "control-plane-1",
    ]


def test_a_name_that_nobody_knows_is_refused_with_the_nearest() -> None:
    assert judge("worker-22", "worker-1").mistakes() == [
        "There is no node worker-22, neither in the cluster nor in the inventory. Did you mean worker-2?"
    ]
    (far,) = judge("mars").mistakes()
    assert far.endswith("The cluster has control-plane-1, control-plane-2, control-plane-3, worker-1, worker-2.")


def test_without_a_name_the_variable_is_told() -> None:
    (mistake,) = judge().mistakes()
    assert "-e remove_nodes=" in mistake


def test_a_load_balancer_is_no_node() -> None:
    (mistake,) = judge("load-balancer-1").mistakes()
    assert "load-balancer-1 is no node of this cluster: the inventory has it in load_balancers" in mistake
    assert "`kubestead reset --limit load-balancer-1` (playbooks/reset.yml)" in mistake


def test_a_host_that_left_already_may_be_cleaned_again() -> None:
    nodes = {name: node for name, node in cluster().nodes.items() if name != "worker-2"}
    removal = judge("worker-2", seen=cluster(nodes=nodes))
    assert order(removal) == ["worker-2"]
    assert removal.nodes[0].exists is False


def test_a_member_whose_node_is_gone_can_be_removed() -> None:
    nodes = {name: node for name, node in cluster().nodes.items() if name != "control-plane-3"}
    removal = Removal(Request(["control-plane-3"], {}, (), True), cluster(nodes=nodes, healthy={"1", "2"}))
    assert order(removal) == ["control-plane-3"]
    assert removal.nodes[0][1:] == (True, False, True, False, False, False)


def test_a_node_that_the_inventory_does_not_name_any_more() -> None:
    removal = Removal(Request(["worker-2"], {}, (), False), cluster())
    assert order(removal) == ["worker-2"]
    assert (removal.nodes[0].in_inventory, removal.nodes[0].reachable) == (False, False)


def test_the_last_control_plane_stays() -> None:
    (mistake,) = judge("control-plane-1", seen=cluster(1)).mistakes()
    assert "control-plane-1 would be the last control plane to go" in mistake
    assert "`kubestead reset` (playbooks/reset.yml)" in mistake
    (mistake,) = judge(*CONTROL_PLANES).mistakes()
    assert "would be all the control planes to go" in mistake
    (mistake,) = judge(*CONTROL_PLANES, seen=cluster(external=True)).mistakes()
    assert "would be all" in mistake


def test_two_of_three_at_once_are_refused() -> None:
    (mistake,) = judge("control-plane-2", "control-plane-1").mistakes()
    assert mistake == (
        "control-plane-1 and control-plane-2 are 2 of 3 members of etcd, which bears the loss of 1 at a time. "
        "Remove control-plane-1 first, see that the cluster is well, then go on."
    )
    assert order(judge("control-plane-1", "control-plane-2", seen=cluster(external=True)))


@pytest.mark.parametrize(("count", "several"), [(2, 1), (3, 1), (4, 1), (5, 2), (7, 3)])
def test_as_many_at_once_as_etcd_bears(count: int, several: int) -> None:
    names = [f"control-plane-{number}" for number in range(1, count)]
    request = Request(names[:several], {}, (), False)
    assert order(Removal(request, cluster(count))) == names[:several]
    if names[several:]:
        assert Removal(request._replace(names=names[: several + 1]), cluster(count)).mistakes()


def test_a_healthy_one_stays_while_another_is_dead() -> None:
    seen = cluster(dead=("control-plane-3",))
    (mistake,) = judge("control-plane-1", seen=seen).mistakes()
    assert mistake == (
        "Without control-plane-1, 1 of 2 members of etcd would work, which is no majority: the cluster would stop. "
        "No answer comes from control-plane-3: bring it back, or remove it first."
    )
    assert order(judge("control-plane-3", seen=seen)) == ["control-plane-3"]


def test_a_learner_has_no_vote() -> None:
    members = [member("control-plane-1", 1), member("control-plane-2", 2, learner=True)]
    assert quorum.trouble(members, {"1"}, [members[1]]) == ""
    assert "0 of 0 members" in quorum.trouble(members, {"1"}, [members[0]])


def test_a_machine_that_is_not_reached_is_dead_only_if_it_is_said() -> None:
    (mistake,) = judge("worker-2", unreachable=("worker-2",)).mistakes()
    assert "worker-2 cannot be reached by SSH" in mistake
    assert "`--dead` (`-e remove_dead=true`)" in mistake
    removal = judge("worker-2", "worker-1", unreachable=("worker-2",), dead=True)
    order(removal)
    assert {node.name: node.dead for node in removal.nodes} == {"worker-2": True, "worker-1": False}


def test_a_silent_kubelet_is_dead_only_if_it_is_said() -> None:
    """Without that, the drain judges: a removal that was broken off has left no pods on the node."""
    seen = cluster(silent=("worker-2",))
    for dead in (False, True):
        removal = judge("worker-2", seen=seen, dead=dead)
        assert order(removal) == ["worker-2"]
        assert (removal.nodes[0].dead, removal.nodes[0].reachable) == (dead, True)


def test_several_mistakes_are_told_at_once() -> None:
    text = report(judge("mars", "load-balancer-1").mistakes())
    assert text.startswith("Nothing was changed. 2 things stand against it:\n- There is no node mars")
    assert report(["Only this."]) == "Only this. Nothing was changed."


def test_a_member_that_never_started_is_known_by_its_address() -> None:
    unnamed = member("", 7)
    assert quorum.member_of("new", "192.0.2.7", [unnamed]) is unnamed
    assert quorum.member_of("new", "", [unnamed]) is None


class Members:
    """etcd, whose members answer or not; a removal makes those silent that follow."""

    def __init__(self, *names: str, silent: tuple[str, ...] = ()) -> None:
        self.members_now = [member(name, number) for number, name in enumerate(names, 1)]
        self.silent = set(silent)
        self.removed: list[str] = []

    def members(self) -> list[Member]:
        return list(self.members_now)

    def remove(self, one: Member) -> None:
        self.removed.append(one.name)
        self.members_now.remove(one)

    def ask(self, hosts: list[str], timeout: float) -> Any:
        (name,) = [one.name for one in self.members_now if one.hosts == tuple(hosts)]

        return Answer("" if name in self.silent else "1")


class Answer:
    """What a member says of its leader; an error where it says nothing."""

    def __init__(self, leader: str) -> None:
        self.leader = leader

    def status(self) -> dict[str, str]:
        if not self.leader:
            raise KubesteadError("No member of etcd answers")
        return {"leader": self.leader}


def run(etcd: Any, name: str, check_mode: bool = False) -> dict[str, Any]:
    module: Any = SimpleNamespace(params={"name": name, "address": "", "timeout": 0}, check_mode=check_mode)
    return remove(module, etcd, etcd.ask)


def test_a_member_is_removed_once() -> None:
    etcd = Members(*CONTROL_PLANES)
    staying = ["control-plane-2", "control-plane-3"]
    assert run(etcd, "control-plane-1", check_mode=True) == {"changed": True, "members": staying}
    assert etcd.removed == []
    assert run(etcd, "control-plane-1") == {"changed": True, "members": staying}
    assert run(etcd, "control-plane-1") == {"changed": False, "members": staying}
    assert etcd.removed == ["control-plane-1"]


def test_the_majority_is_looked_at_in_the_moment_of_the_removal() -> None:
    etcd = Members(*CONTROL_PLANES, silent=("control-plane-3",))
    with pytest.raises(
        KubesteadError, match=r"control-plane-3: bring it back, or remove it first. Nothing was changed"
    ):
        run(etcd, "control-plane-1")
    assert etcd.removed == []
    assert run(etcd, "control-plane-3")["changed"]


def test_those_that_stay_must_have_a_leader_afterwards() -> None:
    etcd = Members(*CONTROL_PLANES)
    etcd.remove = lambda one: etcd.silent.update(CONTROL_PLANES)  # type: ignore[method-assign]
    with pytest.raises(KubesteadError, match=r"to have a leader among those that stay. Last seen: 0 of 2 members work"):
        run(etcd, "control-plane-1")


@pytest.fixture
def asked(fake_module: Any, recorded: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, against the nodes of a recorded cluster and its etcd."""
    listed = recorded("nodes.json")

    class Etcd:
        def __init__(self, hosts: list[str], **_options: Any) -> None:
            self.hosts = hosts

        def members(self) -> list[Member]:
            return [member("control-plane-1", 1)]

    monkeypatch.setattr(removal_plan, "Etcd", Etcd)
    monkeypatch.setattr(removal_plan, "working", lambda members: {one.id for one in members})
    return fake_module(lambda _command, _data: (0, listed, ""), hosts={}, unreachable=[], dead=False, kubeconfig="/k")


def test_the_plan_reads_the_cluster(asked: Any, recorded: Callable[[str], str]) -> None:
    items = json.loads(recorded("nodes.json"))["items"]
    worker = next(item["metadata"]["name"] for item in items if "worker" in item["metadata"]["name"])
    asked.params["names"] = [f" {worker} ", ""]
    result = removal_plan.plan(asked)
    assert [(node["name"], node["exists"], node["control_plane"]) for node in result["nodes"]] == [
        (worker, True, False)
    ]
    asked.params["names"] = ["mars"]
    with pytest.raises(KubesteadError, match=r"no node mars.*Nothing was changed"):
        removal_plan.plan(asked)


def test_an_etcd_without_majority_is_told(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def members(_self: Any) -> list[Member]:
        raise KubesteadError("No member of etcd answers: refused.")

    monkeypatch.setattr(removal_plan.Etcd, "members", members)
    asked.params["names"] = ["worker-1"]
    with pytest.raises(KubesteadError, match=r"nobody can say whether it bears that one leaves: .*refused"):
        removal_plan.plan(asked)


def test_whether_a_member_works() -> None:
    etcd = Members("a", "b", silent=("b",))
    ask: Any = etcd.ask
    assert quorum.working(etcd.members(), ask) == {"1"}
    leaderless: Any = Mock(return_value=Answer("0"))
    assert quorum.works(etcd.members()[0], leaderless) is False


def test_paths_of_certificates_that_are_not_there_count_as_silence(tmp_path: Path) -> None:
    def ask(_hosts: list[str], timeout: float) -> Any:
        raise FileNotFoundError(tmp_path)

    broken: Any = ask
    assert quorum.works(member("a", 1), broken) is False
