"""The collection's filters."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.kubestead.cluster.plugins.filter.bootstrap_host import FilterModule as BootstrapHost
from ansible_collections.kubestead.cluster.plugins.filter.complaints import FilterModule as Complaints
from ansible_collections.kubestead.cluster.plugins.filter.if_readable import FilterModule as IfReadable
from ansible_collections.kubestead.cluster.plugins.filter.node_address import FilterModule as NodeAddress
from ansible_collections.kubestead.cluster.plugins.filter.taints import FilterModule as Taints
from ansible_collections.kubestead.cluster.plugins.filter.to_toml import to_toml

bootstrap_host = BootstrapHost().filters()["bootstrap_host"]
complaints = Complaints().filters()["complaints"]
if_readable = IfReadable().filters()["if_readable"]
node_address = NodeAddress().filters()["node_address"]
taints = Taints().filters()["taints"]


def _host(
    stage: str = "absent", *, healthy: bool = False, ca: str | None = None, interrupted: str | None = None
) -> dict[str, Any]:
    kubernetes = {"stage": stage, "api_healthy": healthy, "ca_hash": ca, "interrupted": interrupted}
    return {"ansible_facts": {"kubestead": {"kubernetes": kubernetes, "default_address": "10.0.0.9"}}}


def test_toml_reads_back_as_what_was_written() -> None:
    mapping = {
        "version": 3,
        "plugins": {
            "io.containerd.cri.v1.images": {"registry": {"config_path": "/etc/containerd/certs.d"}, "max": 1.5},
            "bare-key": {"on": True, "off": False, "list": ["a", 'quo"te', "tab\t"], "inline": [{"a b": 1}]},
            "empty": {},
        },
    }
    assert tomllib.loads(to_toml(mapping)) == mapping


def test_toml_quotes_only_keys_that_need_it() -> None:
    assert to_toml({"a": {"b.c": {"d": 1}}}) == '[a."b.c"]\nd = 1\n'


def test_toml_has_no_null() -> None:
    with pytest.raises(AnsibleFilterError, match="TOML has no place for None"):
        to_toml({"a": None})


def test_taints_as_kubectl_writes_them() -> None:
    assert taints(["dedicated=gpu:NoSchedule", "node.example/odd:NoExecute"]) == [
        {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"},
        {"key": "node.example/odd", "effect": "NoExecute"},
    ]
    with pytest.raises(AnsibleFilterError, match="'dedicated' is not a taint"):
        taints(["dedicated"])


def test_bootstrap_begins_with_the_first_where_nothing_runs() -> None:
    assert bootstrap_host(["a", "b"], {"a": _host(), "b": {}}) == "a"


def test_bootstrap_asks_what_runs_whatever_its_place() -> None:
    hosts = {"a": _host(), "b": _host("member", ca="x"), "c": _host("member", healthy=True, ca="x")}
    assert bootstrap_host(["a", "b", "c"], hosts) == "c"
    assert bootstrap_host(["c", "b", "a"], hosts) == "c"
    assert bootstrap_host(["a", "b"], hosts) == "b"


def test_of_several_that_run_the_first_by_name_is_asked() -> None:
    hosts = {name: _host("member", healthy=True, ca="x") for name in "abc"}
    assert bootstrap_host(["c", "b", "a"], hosts) == bootstrap_host(["a", "b", "c"], hosts) == "a"


def test_bootstrap_goes_on_where_an_init_was_interrupted() -> None:
    assert bootstrap_host(["a", "b"], {"a": _host(), "b": _host("interrupted", interrupted="init")}) == "b"


def test_two_authorities_are_two_clusters() -> None:
    hosts = {"a": _host("member", ca="sha256:1"), "b": _host("member", ca="sha256:2")}
    with pytest.raises(AnsibleFilterError, match="different clusters: a has sha256:1, b has sha256:2"):
        bootstrap_host(["a", "b"], hosts)


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ansible_host": "10.0.0.1", "cluster_node_address": "192.168.0.1"}, "192.168.0.1"),
        ({"ansible_host": "10.0.0.1"}, "10.0.0.1"),
        ({"ansible_host": "node.example"}, "node.example"),
        ({"ansible_host": "node.example", **_host()}, "10.0.0.9"),
        ({}, "web-1"),
    ],
)
def test_node_address(variables: dict[str, Any], address: str) -> None:
    assert node_address("web-1", {"web-1": variables}) == address


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    one:\n", encoding="utf-8")
    (tmp_path / "group_vars/all/cluster.yml").write_text("cluster_name: !unsafe prod\n", encoding="utf-8")
    (tmp_path / "group_vars/all/vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132\n", encoding="utf-8")
    (tmp_path / "group_vars/all/empty.yml").write_text("---\n# nothing yet\n", encoding="utf-8")
    (tmp_path / "group_vars/all/tilde.yml").write_text("---\n~\n", encoding="utf-8")
    (tmp_path / "group_vars/all/README.md").write_text("a: [b\n", encoding="utf-8")
    (tmp_path / "group_vars/all/.cluster.yml.swp").write_text("a: [b\n", encoding="utf-8")
    (tmp_path / "group_vars/workers.json").write_text('{"a": 1}', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("source", ["", "hosts.yml"])
def test_a_value_stays_where_the_inventory_can_be_read(inventory: Path, source: str) -> None:
    assert if_readable("localhost", [str(inventory / source)]) == "localhost"


@pytest.mark.parametrize("sources", [None, [], ["one,two,"], ["/nowhere/hosts"]])
def test_a_value_stays_where_there_are_no_files(sources: list[str] | None) -> None:
    assert if_readable("localhost", sources) == "localhost"


@pytest.mark.parametrize("source", ["", "hosts.yml"])
def test_every_file_that_cannot_be_read_is_named_with_its_line(inventory: Path, source: str) -> None:
    (inventory / "group_vars/all/cluster.yml").write_text("a: 1\nb:\n    c: 1\n  d: 2\n", encoding="utf-8")
    (inventory / "group_vars/workers").write_text("a: 1\n\tb: 1\n", encoding="utf-8")
    (inventory / "host_vars/one.yml").write_text("---\n- a\n", encoding="utf-8")
    with pytest.raises(AnsibleFilterError) as caught:
        if_readable("localhost", [str(inventory / source)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "The inventory cannot be read. No host was contacted."
    assert [line.removeprefix(f"- {inventory}/").split(": ")[0] for line in lines[1:]] == [
        "group_vars/workers:2",
        "group_vars/all/cluster.yml:4",
        "host_vars/one.yml:2",
    ]
    assert "a tab, where YAML wants spaces" in lines[1]
    assert "names with values are wanted here" in lines[3]


def test_hosts_that_did_not_answer_are_named_with_their_reasons() -> None:
    refused = "Task failed: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.7\nport 22: Connection refused\n"
    hostvars: dict[str, dict[str, Any]] = {
        "cp-1": {"look": {"unreachable": True, "msg": refused}},
        "cp-2": {"look": {"changed": False, "members": []}},
        "cp-3": {},
        "cp-4": {"look": {"failed": False, "failed_when_result": False, "msg": "etcd does not answer"}},
    }
    assert complaints(hostvars, hostvars, "look") == [
        "cp-1: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.7 port 22: Connection refused",
        "cp-4: etcd does not answer",
    ]
