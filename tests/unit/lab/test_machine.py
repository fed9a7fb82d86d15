from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kubestead.lab import machine

Text = Callable[[str], str]


def test_a_capability_missing_from_the_bounding_set_is_named(recorded: Text) -> None:
    assert machine.missing_capabilities(recorded("status-missing-sys-resource.txt"), "40") == ("SYS_RESOURCE",)


def test_an_older_kernel_is_not_said_to_lack_what_came_later() -> None:
    assert machine.missing_capabilities("CapBnd:\t0000003fffffffff\n", "37") == ()


def test_a_plain_container_lacks_what_docker_takes_away() -> None:
    missing = machine.missing_capabilities("CapBnd:\t00000000a80425fb\n", "40")
    assert {"SYS_ADMIN", "NET_ADMIN", "SYS_RESOURCE"} <= set(missing)
    assert not {"CHOWN", "NET_RAW", "SETFCAP"} & set(missing)


@pytest.mark.parametrize(("file", "version"), [("mountinfo-cgroup1.txt", 1), ("mountinfo-cgroup2.txt", 2)])
def test_cgroup_version(recorded: Text, file: str, version: int) -> None:
    assert machine.cgroup_version(recorded(file)) == version


def test_no_cgroups_at_all() -> None:
    assert machine.cgroup_version("22 27 0:21 / /proc rw,relatime - proc proc rw\n") == 0


def test_memory_and_limits(recorded: Text) -> None:
    assert machine.parse_meminfo(recorded("meminfo.txt"))["MemTotal"] == 24684092
    assert machine.parse_limits(recorded("limits.txt"))["Max open files"] == 20000


def test_release(recorded: Text) -> None:
    release = machine.parse_release(recorded("os-release.txt"))
    assert (release["ID"], release["VERSION_CODENAME"], release["PRETTY_NAME"]) == (
        "debian",
        "bookworm",
        "Debian GNU/Linux 12 (bookworm)",
    )


def test_behind_a_local_stub_the_real_resolvers_are_found(recorded: Text) -> None:
    texts = {
        "/etc/resolv.conf": recorded("resolv-stub.txt"),
        "/run/systemd/resolve/resolv.conf": recorded("resolv-upstream.txt"),
    }
    found = machine.find_resolvers(lambda path: texts.get(str(path), ""))
    assert found == machine.Resolvers(("192.0.2.53",), ("example.org", "lan"), "/run/systemd/resolve/resolv.conf")


def test_only_local_resolvers_are_none() -> None:
    assert machine.find_resolvers(lambda path: "nameserver 127.0.0.1\nnameserver ::1\n") == machine.Resolvers()


@pytest.mark.parametrize(
    ("code", "said", "state"),
    [
        (0, "", "present"),
        (2, "Error: Unknown device type.", "missing"),
        (2, "RTNETLINK answers: Operation not supported", "missing"),
        (2, "RTNETLINK answers: Operation not permitted", "unknown"),
        (1, "unshare: unshare failed: Operation not permitted", "unknown"),
    ],
)
def test_what_a_link_attempt_tells_of_the_kernel(code: int, said: str, state: str) -> None:
    assert machine.link_state(code, said) == state


def test_looking_needs_no_privileges_and_changes_nothing() -> None:
    found = machine.look()
    assert found.system == "Linux"
    assert found.memory > found.memory_available > 0
    assert set(found.features) >= {"overlay", "bridge", "veth", "vxlan", "br_netfilter"}
    assert not Path("/sys/class/net/probe0").exists()
