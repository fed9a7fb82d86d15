"""The two actions as Ansible runs them: over a machine that answers, one that does not, and one that cannot be examined."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.action.preflight_verdict import verdict

ROOT = Path(__file__).parents[3]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# With an interface that no machine has, so that nobody is asked.
BALANCER = {
    "load_balancer": True,
    "cluster_virtual_ip": "192.0.2.10",
    "cluster_virtual_ip_interface": "nowhere0",
    "cluster_node_address": "",
}
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "any_errors_fatal": True,
        "tasks": [
            {"kubestead.cluster.preflight_look": {"spec": "{{ spec }}"}, "register": "look"},
            {"ansible.builtin.debug": {"msg": "{{ look | to_json }}"}},
        ],
    }
]


def _run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline", "ANSIBLE_SSH_RETRIES": "0"}
    environment.update(ANSIBLE_COLLECTIONS_PATH=str(ROOT / "collections"), ANSIBLE_LOCAL_TEMP=str(tmp_path))
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What preflight_look returned for each host, in check mode."""
    folder = tmp_path_factory.mktemp("looks")
    hosts = {
        "fine": {**LOCAL, "spec": {"number": 1}},
        "balancer": {**LOCAL, "spec": BALANCER},
        "lost": {**LOCAL, "spec": {**BALANCER, "cluster_virtual_ip": "nowhere"}},
        "silent": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "spec": {"number": 2}},
        "bare": {**LOCAL, "ansible_python_interpreter": "/nowhere/python3", "spec": {"number": 3}},
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (folder / "play.json").write_text(json.dumps(PLAY))
    outcome = _run(folder, "--check", "-i", "hosts.json", "play.json")
    found = {}
    for line in outcome.stdout.splitlines():
        host, _, result = line.partition(" | SUCCESS => ")
        if host in hosts and '"msg"' in result:
            found[host] = json.loads(json.loads(result)["msg"])
    assert set(found) == set(hosts), outcome.stdout + outcome.stderr
    return found


def test_a_machine_that_answers_is_seen_with_the_controllers_clock_around_it(looks: dict[str, Any]) -> None:
    state = looks["fine"]["ansible_facts"]["kubestead"]
    before, after = state["time"]["window"]
    assert before <= state["time"]["epoch"] <= after
    assert state["kubernetes"]["stage"]
    assert looks["fine"]["changed"] is False
    assert looks["fine"]["spec"] == {"number": 1}


def test_a_load_balancer_is_probed_and_others_are_not(looks: dict[str, Any]) -> None:
    assert "probe" not in looks["fine"]
    probe = looks["balancer"]["probe"]
    assert (probe["answers"], probe["routers"]) == ([], [])
    assert {probe["keepalived"], probe["haproxy"]} <= {"absent", "default", "foreign", "ours"}
    assert looks["balancer"]["ansible_facts"]["kubestead"]["hostname"]


def test_a_probe_that_fails_leaves_the_look_as_it_is(looks: dict[str, Any]) -> None:
    assert looks["lost"]["probe"] == {"failure": "nowhere is no IPv4 address."}
    assert looks["lost"]["ansible_facts"]["kubestead"]["hostname"]


def test_a_machine_that_does_not_answer_is_noted_and_not_lost(looks: dict[str, Any]) -> None:
    assert looks["silent"]["problem"]["finding"] == "unreachable"
    assert "refused" in looks["silent"]["problem"]["seen"]
    assert looks["silent"]["spec"] == {"number": 2}


def test_a_machine_without_python_is_noted_and_not_lost(looks: dict[str, Any]) -> None:
    assert looks["bare"]["problem"]["finding"] == "not-examined"
    assert "/nowhere/python3" in looks["bare"]["problem"]["seen"]


def test_the_verdict_is_spoken_over_machines_without_an_answer_too(looks: dict[str, Any]) -> None:
    spec = {"control_plane": False, "cluster_preflight_ignore": []}
    troubled = {host: {**looks[host], "spec": spec} for host in ("silent", "bare")}
    assert [(finding.host, finding.name, finding.stops) for finding in verdict(troubled)] == [
        ("silent", "unreachable", True),
        ("bare", "not-examined", True),
    ]
