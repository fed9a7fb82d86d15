from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture
def told(host: Host) -> dict[str, Any]:
    """What Docker says of itself."""
    info: dict[str, Any] = json.loads(host.check_output("docker info --format '{{json .}}'"))
    return info


@pytest.mark.parametrize("unit", ["docker.service", "cri-docker.socket", "cri-docker.service"])
def test_they_run_now_and_at_boot(host: Host, unit: str) -> None:
    assert host.check_output(f"systemctl is-active {unit}") == "active", host.run(
        f"journalctl --no-pager --lines 40 --unit {unit}"
    ).stdout
    assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_the_catalogues_cri_dockerd_is_installed_and_held(host: Host, release: dict[str, Any]) -> None:
    assert release["packages"]["cri-dockerd"] in host.check_output("cri-dockerd --version")
    assert {"cri-dockerd", "docker.io"} <= set(host.check_output("apt-mark showhold").split())


def test_docker_works_as_the_role_configures_it(told: dict[str, Any]) -> None:
    assert told["CgroupDriver"] == "systemd"
    assert told["LiveRestoreEnabled"]
    assert told["LoggingDriver"] == "json-file"
    assert "written-by=Kubestead" in told["Labels"]
    assert "172.29.94.1:8765" in told["RegistryConfig"]["IndexConfigs"]


def test_docker_made_no_network_of_its_own(host: Host) -> None:
    assert "docker0" not in host.check_output("ip -oneline link show")
    assert ":DOCKER" not in host.check_output("iptables-save --table filter")


def test_only_root_speaks_to_cri_dockerd(host: Host) -> None:
    socket = host.file("/run/cri-dockerd.sock")
    assert (socket.user, socket.mode) == ("root", 0o600)


def test_the_users_may_use_docker(host: Host) -> None:
    assert "docker" in host.user("daemon").groups
