#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: whether a virtual IP is free, as far as the network tells."""

from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_ip_probe
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Look whether a virtual IP is free before keepalived takes it
description:
  - Asks by ARP whether a machine has the address, listens meanwhile for the VRRP messages of other routers, and tells whose
    configuration keepalived and haproxy have. All of it takes 1.5 seconds.
  - Where keepalived carries the address already, by a configuration of Kubestead, nobody is asked, since it would be a load balancer
    of the same cluster that answers.
  - Changes nothing. The question claims no address, so no machine's ARP cache changes either.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
options:
  address:
    description: The virtual IP, an IPv4 address.
    type: str
    required: true
  interface:
    description: Network interface to ask and listen on. Without one, only the files are looked at.
    type: str
notes:
  - Needs the capability C(NET_RAW), which root has.
  - A firewall on the machine may keep VRRP messages away. ARP it does not hide.
"""

EXAMPLES = r"""
- name: Look whether the address is free
  kubestead.cluster.virtual_ip_probe:
    address: 192.0.2.10
    interface: eth0
  register: probe

- name: Insist on it
  ansible.builtin.assert:
    that: not probe.answers
"""

RETURN = r"""
answers:
  description: MAC addresses of the machines that have the address.
  returned: success
  type: list
  elements: str
  sample: ["52:54:00:12:34:56"]
routers:
  description: VRRP routers that were heard, with C(virtual_router_id), C(source), C(version) and C(addresses).
  returned: success
  type: list
  elements: dict
  sample: [{virtual_router_id: 51, source: 192.0.2.2, version: 2, addresses: [192.0.2.100]}]
skipped_network:
  description: Whether nobody was asked, since keepalived carries the address already, or no interface was given.
  returned: success
  type: bool
keepalived:
  description:
    - Whose configuration keepalived has. V(absent), V(ours), V(default) (as its package brought it) or V(foreign).
  returned: always
  type: str
haproxy:
  description: The same of haproxy.
  returned: always
  type: str
"""

import ipaddress
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._virtual_ip import (
    HAPROXY,
    KEEPALIVED,
    Configuration,
    Heard,
    carries,
    probe,
)


def is_ipv4(address: str) -> bool:
    """Whether this is an IPv4 address."""
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"address": {"type": "str", "required": True}, "interface": {"type": "str"}},
        supports_check_mode=True,
    )
    address, interface = module.params["address"], module.params["interface"]
    if not is_ipv4(address):
        module.fail_json(msg=f"{address} is no IPv4 address.")

    def run(*command: str) -> t.Optional[str]:
        path = module.get_bin_path(command[0])
        if path is None:
            return None
        rc, stdout, _stderr = module.run_command([path, *command[1:]], environ_update={"LC_ALL": "C"})
        return str(stdout) if rc == 0 else None

    keepalived = Configuration(KEEPALIVED, run)
    owners = {"keepalived": keepalived.owner, "haproxy": Configuration(HAPROXY, run).owner}
    skipped = not interface or (owners["keepalived"] == "ours" and carries(keepalived.text or "", address))
    heard = Heard([], [])
    if not skipped:
        try:
            heard = probe(interface, address)
        except PermissionError:
            module.fail_json(msg=f"Asking for {address} on {interface} takes root or the capability NET_RAW.", **owners)
        except OSError as error:
            why = error.strerror or error
            module.fail_json(msg=f"Nobody could be asked for {address} on {interface}: {why}.", **owners)
    routers = [router._asdict() for router in heard.routers]
    module.exit_json(changed=False, answers=heard.answers, routers=routers, skipped_network=skipped, **owners)


if __name__ == "__main__":
    main()
