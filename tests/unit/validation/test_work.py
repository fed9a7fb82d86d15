"""How much work validation is, counted in calls and not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _validation
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import Group, Host, Inventory, Variable
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import Supported

SUPPORTED = Supported({"1.36": "1.36.4"})
CALLS_PER_HOST = 120


def farm(
    size: int, variables: dict[str, Any], render: Callable[[Any, str], Any] | None = None, balancers: int = 0
) -> Inventory:
    names = [f"node-{number}" for number in range(size)]
    hosts = {
        name: Host(
            name,
            ["control_plane" if number == 0 else "workers"],
            [
                {
                    "ansible_host": Variable(
                        "ansible_host", f"10.{number >> 8}.{number & 255}.1", where="host", owner=name
                    )
                }
            ],
        )
        for number, name in enumerate(names)
    }
    everyone = {name: Variable(name, value) for name, value in {"cluster_pod_cidr": "11.0.0.0/8", **variables}.items()}
    groups = {
        "all": Group("all", names, [everyone]),
        "control_plane": Group("control_plane", names[:1]),
        "workers": Group("workers", names[1:]),
        "load_balancers": Group("load_balancers", names[1 : balancers + 1]),
    }
    return Inventory(groups, hosts, **({"render": render} if render else {}))


def calls_of(work: Callable[[], Any]) -> int:
    count = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_work_grows_with_the_hosts_and_no_faster(options: Any) -> None:
    small, large = farm(100, {}), farm(1000, {})
    assert _validation.validate(large, options, SUPPORTED) == []
    few = calls_of(lambda: _validation.validate(small, options, SUPPORTED))
    many = calls_of(lambda: _validation.validate(large, options, SUPPORTED))
    assert (many - few) / 900 < CALLS_PER_HOST
    assert many < 11 * few


def test_a_virtual_ip_is_compared_with_each_host_once(options: Any) -> None:
    variables = {"cluster_virtual_ip": "10.0.9.10"}
    small, large = (farm(size, variables, balancers=3) for size in (100, 1000))
    assert [finding.rule for finding in _validation.validate(large, options, SUPPORTED)] == ["virtual-ip-elsewhere"]
    few = calls_of(lambda: _validation.validate(small, options, SUPPORTED))
    many = calls_of(lambda: _validation.validate(large, options, SUPPORTED))
    assert (many - few) / 900 < CALLS_PER_HOST


def test_a_definition_for_all_is_looked_at_once(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    problems = _validation.problems

    def counting(variable: str, *arguments: Any) -> Any:
        looked_at.append(variable)
        return problems(variable, *arguments)

    monkeypatch.setattr(_validation, "problems", counting)
    _validation.validate(farm(1000, {"cluster_network": "none", "cluster_smoke_test": False}), options, SUPPORTED)
    assert sorted(looked_at) == ["cluster_network", "cluster_pod_cidr", "cluster_smoke_test"]


def test_nothing_is_rendered_without_need(options: Any) -> None:
    rendered: list[str] = []

    def render(value: Any, host: str) -> Any:
        rendered.append(host)
        return "example.org"

    _validation.validate(
        farm(1000, {"cluster_dns_domain": "{{ zone }}", "theirs": "{{ other }}"}, render), options, SUPPORTED
    )
    assert rendered == ["node-0"]


def test_a_misspelt_name_is_looked_up_once(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = farm(1000, {})
    for host in inventory.hosts.values():
        host.layers = [
            {**host.layers[0], "cluster_swop": Variable("cluster_swop", "off", where="host", owner=host.name)}
        ]
    asked = []
    suggestion = _validation.suggestion

    def counting(word: str, *arguments: Any) -> Any:
        asked.append(word)
        return suggestion(word, *arguments)

    monkeypatch.setattr(_validation, "suggestion", counting)
    found = _validation.validate(inventory, options, SUPPORTED)
    assert len(found) == 1000
    assert asked == ["swop"]
