# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cleanup leaves on purpose, because nobody knows how it was before or because it is not for us to turn back."""

from __future__ import annotations

import re
import socket
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._node_state import COMMAND_LINES

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

_FSTAB_SWAP = re.compile(r"^# (\S+\s+\S+\s+swap\s.*)$", re.MULTILINE)
_RPI_SWAP = "/etc/rpi/swap.conf.d/kubestead.conf"
_SWAP_UNITS = ("dphys-swapfile.service", "zramswap.service", "systemd-zram-setup@zram0.service")
# What the kubelet, kube-proxy and the plugins set on their own, and to what.
_RUNTIME_SYSCTLS = {
    "vm.overcommit_memory": "1",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
    "net.ipv4.conf.all.route_localnet": "1",
    "net.netfilter.nf_conntrack_tcp_timeout_established": "86400",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": "3600",
}


def account(machine: Machine, host_name: str) -> None:
    """Note the settings of the operating system that stay, each with the way to turn it back."""
    if host_name and socket.gethostname() == host_name:
        machine.leave(
            f"the host name {host_name}: the one before it is not known. `hostnamectl hostname NAME` sets another"
        )
    for line in _FSTAB_SWAP.findall(machine.text("/etc/fstab")):
        machine.leave(f"swap, off: take the comment sign from this line of /etc/fstab, and run `swapon --all`: {line}")
    for unit in _SWAP_UNITS:
        if machine.unit(unit).get("LoadState") == "masked":
            machine.leave(f"swap, off: `systemctl unmask {unit}` allows it again")
    if machine.is_ours(_RPI_SWAP):
        machine.leave(f"swap, off: remove {_RPI_SWAP}, and it is back after the next boot")
    for path in COMMAND_LINES:
        if "cgroup_memory=1 cgroup_enable=memory" in machine.text(path):
            machine.leave(f"memory accounting on the kernel's command line, which does no harm: {path}")
    if re.search(r"^SELINUX=permissive", machine.text("/etc/selinux/config"), re.MULTILINE):
        machine.leave("SELinux, permissive: set SELINUX=enforcing in /etc/selinux/config, and run `setenforce 1`")
    if machine.unit("firewalld.service").get("ActiveState") == "active":
        machine.leave(
            "firewalld's open ports and trusted networks: `firewall-cmd --list-all` shows them, also in --zone=trusted"
        )
    changed = [name for name, value in _RUNTIME_SYSCTLS.items() if _sysctl(machine, name) == value]
    if changed:
        machine.leave(
            f"kernel settings that the kubelet and kube-proxy made, until the next boot: {', '.join(changed)}"
        )


def _sysctl(machine: Machine, name: str) -> str:
    return machine.text("/proc/sys/" + name.replace(".", "/")).strip()
