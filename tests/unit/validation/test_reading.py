"""What is read of an inventory: precedence, templates, secrets, extra variables, other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import EncryptedString
from ansible_collections.kubestead.cluster.plugins.module_utils import _validation
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import UNKNOWN, Case, Origin
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import Supported
from ansible_collections.kubestead.cluster.plugins.plugin_utils import _inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils._inventory_file import complaints

LAYERED = """\
all:
  vars: {v: all in the file}
  children:
    control_plane:
      vars: {v: group in the file}
      hosts:
        cp-1:
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "group in the file"),
        ({"group_vars/all.yml": "v: beside"}, "group in the file"),
        ({"group_vars/control_plane.yml": "v: beside"}, "beside"),
        ({"group_vars/control_plane.yml": "v: beside", "playbooks/group_vars/control_plane.yml": "v: play"}, "play"),
        ({"playbooks/group_vars/control_plane.yml": "v: play", "host_vars/cp-1.yml": "v: host"}, "host"),
        ({"playbooks/host_vars/cp-1.yml": "v: play", "host_vars/cp-1.yml": "v: host"}, "play"),
    ],
)
def test_the_definition_that_counts_is_ansibles(files: dict[str, str], expected: str, load: Any) -> None:
    inventory = load({"hosts.yml": LAYERED, **files})
    assert inventory.lookup("v", inventory.hosts["cp-1"]).value == expected


def test_extra_variables_come_before_all(load: Any) -> None:
    inventory = load({"hosts.yml": LAYERED, "host_vars/cp-1.yml": "v: host"}, {"v": "extra"})
    assert inventory.lookup("v", inventory.hosts["cp-1"]).value == "extra"


def test_extra_variables_are_text_and_may_mean_more(check: Any) -> None:
    assert check(extra={"cluster_api_port": "6444", "cluster_smoke_test": "no"}) == []
    found = check(extra={"cluster_api_port": "644x"})
    assert [finding.variable for finding in found] == ["cluster_api_port"]


def test_lines_are_known_in_ini_files_too(check: Any) -> None:
    hosts = "[control_plane]\ncp_1 ansible_host=192.0.2.11\n\n[workers]\n"
    found = check(files={"hosts.ini": hosts}, source="hosts.ini")
    assert [finding.rule for finding in found] == ["node-name"]
    assert found[0].message.startswith("hosts.ini")


def test_a_template_is_rendered_with_what_the_host_has(load: Any, options: Any) -> None:
    hosts = """\
control_plane:
  vars:
    net: 10.0.0
    cluster_node_address: "{{ net }}.{{ groups['control_plane'].index(inventory_hostname) + 11 }}"
  hosts:
    cp-1:
    cp-2:
    cp-3:
"""
    case = Case(load({"hosts.yml": hosts}), options, Supported({}))
    assert [address for address, _variable in case.addresses.values()] == ["10.0.0.11", "10.0.0.12", "10.0.0.13"]


def test_a_template_finds_the_defaults(check: Any) -> None:
    found = check("cluster_service_cidr: '{{ cluster_pod_cidr }}'\n")
    assert [finding.rule for finding in found] == ["overlap"]


def test_a_template_that_needs_facts_is_passed_over(check: Any) -> None:
    assert check("cluster_dns_domain: \"{{ ansible_facts['domain'] }}\"\n") == []


def test_a_wrong_value_of_a_template_is_found(check: Any) -> None:
    found = check("zone: example_org\ncluster_dns_domain: 'k8s.{{ zone }}'\n")
    assert [finding.value for finding in found] == ['"k8s.example_org"']


@pytest.fixture
def vaulted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def vaulted(plain: str | None) -> EncryptedString:
        def decrypt(self: EncryptedString) -> str:
            if plain is None:
                raise AnsibleError("no secret")
            return plain

        monkeypatch.setattr(EncryptedString, "__str__", decrypt)
        return EncryptedString(ciphertext="$ANSIBLE_VAULT;1.1;AES256\n33")

    return vaulted


def test_a_secret_is_checked_and_never_shown(vaulted: Any, check: Any) -> None:
    found = check(extra={"cluster_http_proxy": vaulted("hunter2 hunter2")})
    assert [finding.message for finding in found] == [
        "the inventory: cluster_http_proxy: the value is not right. Allowed: an http:// or https:// URL."
    ]
    assert "hunter2" not in str([finding.as_dict() for finding in found])


def test_a_secret_that_cannot_be_read_is_passed_over(vaulted: Any, check: Any) -> None:
    assert check(extra={"cluster_http_proxy": vaulted(None)}) == []


def test_secrets_in_depth_are_seen(vaulted: Any) -> None:
    value = {"a": [1, {"b": vaulted("x")}]}
    assert _inventory.has_secret(value)
    assert _inventory.decrypted(value) == {"a": [1, {"b": "x"}]}
    assert _inventory.decrypted(vaulted(None)) is UNKNOWN


def test_a_whole_file_of_secrets_is_known(tmp_path: Path) -> None:
    secret, plain = tmp_path / "secret.yml", tmp_path / "plain.yml"
    secret.write_text("$ANSIBLE_VAULT;1.1;AES256\n33\n")
    plain.write_text("a: 1\n")
    assert _inventory._is_vaulted_file(str(secret))
    assert not _inventory._is_vaulted_file(str(plain))
    assert not _inventory._is_vaulted_file(None)


def test_a_password_in_a_url_is_struck_out(check: Any) -> None:
    found = check("cluster_http_proxy: ftp://ada:hunter2@proxy.example.org\n")
    assert len(found) == 1
    assert "hunter2" not in str(found[0].as_dict())
    assert "***@proxy.example.org" in found[0].message


def test_places_are_short_within_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Origin(str(tmp_path / "hosts.yml"), 3)) == "hosts.yml:3"
    assert str(Origin("/elsewhere/hosts.yml", 3)) == "/elsewhere/hosts.yml:3"
    assert str(Origin(description="<CLI option '-e'>")) == "CLI option '-e'"


def test_an_inventory_without_hosts(check: Any) -> None:
    found = check(files={"hosts.yml": "all:\n"})
    assert [finding.rule for finding in found] == ["no-hosts"]


def test_an_earlier_ansible_tells_no_lines(monkeypatch: pytest.MonkeyPatch, check: Any) -> None:
    monkeypatch.setattr(_inventory, "OriginTag", None)
    found = check("cluster_pod_cdir: 10.1.0.0/16\n")
    assert [finding.message for finding in found] == [
        "hosts.yml: cluster_pod_cdir: there is no such variable. Did you mean cluster_pod_cidr?"
    ]


def test_what_rules_speak_of_is_specified(options: Any) -> None:
    assert set(options) >= _validation.CLUSTER_WIDE
    assert set(_validation.VARIABLE_ALIASES.values()) <= set(options)
    assert not set(_validation.VARIABLE_ALIASES) & set(options)


def test_forms_are_of_specified_variables(options: Any) -> None:
    from ansible_collections.kubestead.cluster.plugins.module_utils import _validation_values as values

    spoken_of = {*values._FORMS, *values.KUBEADM_FIELDS, *values._DOCUMENTS, *values._OWN_VARIABLES}
    assert spoken_of <= set(options)
    assert {name for own in values._OWN_VARIABLES.values() for name in own.values()} <= set(options)


def test_the_defaults_are_right(options: Any) -> None:
    from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import problems

    supported = Supported({"1.36": "1.36.4"})
    for name, option in options.items():
        assert list(problems(name, option, option["default"], supported)) == [], name


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("all:\n\tchildren: {}\n", 2, "this is no YAML: a tab, where YAML wants spaces"),
        ("all:\n  children: {a: b\n", 3, "this is no YAML: "),
        (
            "all:\n  children:\n    control_plane:\n      hosts:\n        - cp-1\n",
            5,
            "hosts of group control_plane is no mapping; write each on a line of its own, with a colon behind it",
        ),
        (
            "all:\n  children:\n    control_plane:\n      cp-1: {ansible_host: 192.0.2.1}\n",
            4,
            "a group holds hosts, children and vars, and control_plane holds cp-1; set it below one of these",
        ),
    ],
    ids=["tab", "unclosed", "list", "no-hosts"],
)
def test_an_inventory_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    (tmp_path / "hosts.yml").write_text(text)
    (complaint,) = complaints([str(tmp_path)])
    assert complaint.text.startswith(said)
    assert (complaint.origin.path, complaint.origin.line) == (str(tmp_path / "hosts.yml"), line)


def test_an_inventory_that_is_merely_empty_has_nothing_to_complain_of(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all:\n  children:\n    control_plane:\n      hosts:\n")
    assert complaints([str(tmp_path)]) == []


def test_a_value_is_told_by_the_file_that_set_it_last(check: Any) -> None:
    files = {
        "hosts.yml": "all: {children: {control_plane: {hosts: {cp: {ansible_host: 192.0.2.1}}}}}\n",
        "group_vars/all/00.yml": "cluster_name: a\ncluster_pod_cidr: 10.244.0.0/16\n",
        "group_vars/all/cluster.yml": "cluster_pod_cidr: 10.96.0.0/16\n",
    }
    (finding,) = check(files=files)
    assert finding.message.startswith("group_vars/all/cluster.yml:1: cluster_pod_cidr is ")
