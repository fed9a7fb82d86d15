"""What is done to a machine, and that it is undone whatever happens in between."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubestead.lab.commands import CommandError

from ...integration.failures.faults import (
    FAILURES,
    TABLE,
    Machine,
    added_routes,
    interface_of,
    kubelet_stopped,
    network_cut,
    partition,
    power_cut,
    reboot,
)

ROUTES = """\
default via 192.0.2.1 proto static
192.0.2.0/24 proto kernel scope link src 192.0.2.5
198.51.100.0/24 scope link
"""
LINKS = json.dumps([{"ifname": "lo", "addr_info": []}, {"ifname": "eth1", "addr_info": [{"local": "192.0.2.5"}]}])


class Recorder:
    """Stands for the container engine's client: notes what is asked, and answers what ip would."""

    def __init__(self, failing: str = "") -> None:
        self.commands: list[str] = []
        self.failing = failing

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 0) -> str:
        words = " ".join(arguments).removeprefix("exec ").removeprefix("--interactive ").removeprefix("machine ")
        self.commands.append(f"{words}{f' < {stdin.split()[0]}' if stdin else ''}")
        if self.failing and self.failing in words:
            raise CommandError(arguments, "ended with code 1", "")
        return ROUTES if "route show" in words else LINKS if "address show" in words else ""


def machine(recorder: Any) -> Machine:
    return Machine(recorder, "machine", "192.0.2.5", ("192.0.2.6", "192.0.2.10"))


@pytest.mark.parametrize(
    ("breakage", "breaking", "undoing"),
    [
        (power_cut, ["kill machine"], ["start machine"]),
        (reboot, ["stop --time 30 machine"], ["start machine"]),
        (kubelet_stopped, ["systemctl stop kubelet"], ["systemctl start kubelet"]),
        (
            network_cut,
            ["ip -json -4 address show", "ip -4 route show dev eth1", "ip link set dev eth1 down"],
            [
                "ip link set dev eth1 up",
                "ip route replace 198.51.100.0/24 scope link dev eth1",
                "ip route replace default via 192.0.2.1 proto static dev eth1",
            ],
        ),
        (partition, ["nft -f - < table"], ["nft -f - < add"]),
    ],
)
def test_what_was_broken_is_put_right_also_where_something_fails(breakage: Any, breaking: Any, undoing: Any) -> None:
    recorder = Recorder()
    with pytest.raises(RuntimeError, match=f"after {len(breaking)} commands"), breakage(machine(recorder)):
        raise RuntimeError(f"after {len(recorder.commands)} commands")
    assert recorder.commands == [*breaking, *undoing]

    # Also where the breaking itself ends in an error, which says nothing of what it had done by then.
    recorder = Recorder(failing=breaking[-1].partition(" <")[0])
    with pytest.raises(CommandError), breakage(machine(recorder)):
        pytest.fail("it was not broken")
    assert recorder.commands[len(breaking)] == undoing[0]


def test_a_process_that_is_not_there_cannot_be_killed() -> None:
    (failure,) = (failure for failure in FAILURES if failure.name == "etcd-killed")
    recorder = Recorder(failing="pkill")
    with pytest.raises(CommandError), failure.breakage(machine(recorder)):
        pytest.fail("nothing was killed")
    assert recorder.commands == ["pkill -KILL -x etcd"]


def test_the_interface_and_its_routes() -> None:
    assert interface_of(LINKS, "192.0.2.5") == "eth1"
    with pytest.raises(LookupError):
        interface_of(LINKS, "192.0.2.9")
    assert added_routes(ROUTES) == [
        ["198.51.100.0/24", "scope", "link"],
        ["default", "via", "192.0.2.1", "proto", "static"],
    ]


def test_a_partition_spares_the_machine_below_the_lab() -> None:
    sent: list[str] = []

    class Nft(Recorder):
        def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 0) -> str:
            sent.append(stdin or "")
            return ""

    with partition(machine(Nft())):
        (rules,) = sent
    assert rules.count("ip saddr { 192.0.2.6, 192.0.2.10 } drop") == 3
    assert rules.count("ip daddr { 192.0.2.6, 192.0.2.10 } drop") == 3
    assert "192.0.2.1 " not in rules
    assert sent[1].splitlines() == [f"add table inet {TABLE}", f"delete table inet {TABLE}"]


def test_each_failure_has_a_name_of_its_own() -> None:
    assert len({failure.name for failure in FAILURES}) == len(FAILURES)
    assert len({failure.title for failure in FAILURES}) == len(FAILURES)
