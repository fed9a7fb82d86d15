from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
STRANGER = "kubestead-stranger"


def _preflight() -> subprocess.CompletedProcess[str]:
    role = ["-m", "ansible.builtin.include_role", "-a", "name=kubestead.cluster.preflight"]
    command = ["ansible", "control_plane:workers", "-i", "molecule/inventory", *role]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_taken_port_stops_the_run_with_its_name_and_its_holder(host: Host, name: str) -> None:
    if host.socket("tcp://10250").is_listening:
        pytest.skip("the kubelet of a running node holds the port already")
    host.check_output(f"systemd-run --quiet --unit {STRANGER} python3 -m http.server 10250")
    try:
        host.check_output("timeout 10 sh -c 'until ss -ltn | grep -q :10250; do sleep 0.1; done'")
        outcome = _preflight()
    finally:
        host.check_output(f"systemctl stop {STRANGER}")
    assert outcome.returncode != 0
    said = outcome.stdout + outcome.stderr
    assert f"{name}:\n" in said
    assert "error    port-in-use: TCP port 10250 (for kubelet) is held by python3" in said


def test_without_the_stranger_it_passes() -> None:
    outcome = _preflight()
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
