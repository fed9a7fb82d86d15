# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""haproxy and keepalived off a machine, where their configuration is ours."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_packages import package_manager, purge

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

# keepalived first: the address moves to another load balancer while this one still answers.
SERVICES = {"keepalived": "/etc/keepalived/keepalived.conf", "haproxy": "/etc/haproxy/haproxy.cfg"}


def clean_balancer(machine: Machine, packages: bool) -> None:
    """Stop both services and remove what the roles wrote for them; with ``packages`` also their packages."""
    found = [name for name, path in SERVICES.items() if machine.is_ours(path)]
    for name in found:
        _clean_service(machine, name, packages)
    if not machine.removed:
        return
    if not machine.module.check_mode:
        machine.run("systemctl", "daemon-reload", timeout=60)
    if machine.unit("firewalld.service").get("ActiveState") == "active":
        machine.leave("firewalld's open port and protocol: `firewall-cmd --list-all` shows them")


def _clean_service(machine: Machine, name: str, packages: bool) -> None:
    unit = f"{name}.service"
    drop_in = f"/etc/systemd/system/{unit}.d"
    machine.stop_unit(unit)
    machine.disable_unit(unit)
    if packages:
        _remove_package(machine, name)
    machine.take_file(SERVICES[name])
    machine.take_file(f"{drop_in}/kubestead.conf")
    machine.take_empty(drop_in)
    machine.take_empty(os.path.dirname(SERVICES[name]))
    machine.take_folder(f"/run/{name}")


def _remove_package(machine: Machine, name: str) -> None:
    manager = package_manager(machine)
    if name not in manager.installed([name]):
        return
    companions = manager.companions([name])
    if companions:
        machine.leave(
            f"{', '.join(companions)}: they came with {name}, and others may use them by now. "
            "`apt-get autoremove` removes those that nothing needs"
        )
    machine.take(f"package {name}", lambda: purge(manager, [name]))
