from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_balancer import clean_balancer

OURS = "# Written by Kubestead.\n"
QUERY = "dpkg-query --show --showformat=${Package}\t${db:Status-Status}\n"
RUNNING = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
ANSWERS: dict[str, Any] = {
    "systemctl": "",
    "systemctl show": RUNNING,
    "dpkg": "",
    "dpkg-query": "",
    f"{QUERY} haproxy": "haproxy\tinstalled\n",
    f"{QUERY} keepalived": "keepalived\tinstalled\n",
    "apt-mark showauto": "",
}


def test_the_address_leaves_before_haproxy_stops(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/etc/haproxy/haproxy.cfg", OURS)
    write("/etc/keepalived/keepalived.conf", OURS)
    write("/etc/systemd/system/haproxy.service.d/kubestead.conf", OURS)
    here = machine(ANSWERS)
    clean_balancer(here, packages=True)
    fake: Any = here.module
    done = [line for line in fake.commands if line.startswith(("systemctl stop", "dpkg --purge"))]
    assert done == [
        *("systemctl stop keepalived.service", "dpkg --purge keepalived"),
        *("systemctl stop haproxy.service", "dpkg --purge haproxy"),
    ]
    assert not (root / "etc/keepalived").exists()
    assert not (root / "etc/systemd/system/haproxy.service.d").exists()


def test_files_of_others_beside_ours_stay(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/etc/haproxy/haproxy.cfg", OURS)
    own = write("/etc/haproxy/own.pem", "")
    clean_balancer(machine(ANSWERS), packages=True)
    assert own.exists()
    assert not (root / "etc/haproxy/haproxy.cfg").exists()


def test_a_haproxy_of_somebody_else_is_not_touched(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    write("/etc/haproxy/haproxy.cfg", "global\n")
    here = machine(ANSWERS)
    clean_balancer(here, packages=True)
    fake: Any = here.module
    assert (here.removed, fake.commands) == ([], [])


def test_packages_stay_where_they_are_to_stay(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/etc/haproxy/haproxy.cfg", OURS)
    here = machine(ANSWERS)
    clean_balancer(here, packages=False)
    fake: Any = here.module
    assert not fake.ran("dpkg")
    assert not (root / "etc/haproxy/haproxy.cfg").exists()


def test_check_mode_tells_and_touches_nothing(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    path = write("/etc/haproxy/haproxy.cfg", OURS)
    here = machine(ANSWERS, check_mode=True)
    clean_balancer(here, packages=True)
    fake: Any = here.module
    assert "package haproxy" in here.removed
    assert path.exists()
    assert not fake.ran("systemctl stop")
