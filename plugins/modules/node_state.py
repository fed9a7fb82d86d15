#!/usr/bin/python

# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: one look at a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_state
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: One look at a machine that tells the roles all they decide upon
description:
  - Reads what the operating system, the container runtime and kubeadm have made of a machine, and returns it as facts under
    C(ansible_facts['kubestead']).
  - Changes nothing, needs no options, takes a fraction of a second, and does not fail on unusual machines. What cannot be found out
    is null or empty.
  - Roles of this collection use it in the place of Ansible's own fact gathering.
extends_documentation_fragment:
  - kubestead.cluster.attributes
  - kubestead.cluster.attributes.reads_only
  - kubestead.cluster.attributes.facts
attributes:
  facts:
    support: full
options: {}
"""

EXAMPLES = r"""
- name: Look at the machine
  kubestead.cluster.node_state:

- name: Say what it is
  ansible.builtin.debug:
    msg: "{{ ansible_facts['kubestead'].hostname }} is {{ ansible_facts['kubestead'].kubernetes.stage }}"
"""

RETURN = r"""
ansible_facts:
  description: The facts of this host.
  returned: always
  type: dict
  contains:
    kubestead:
      description: The state of the machine.
      type: dict
      returned: always
      contains:
        hostname:
          description: Host name as the kernel knows it.
          type: str
          returned: always
          sample: worker-1
        machine_id:
          description: Content of C(/etc/machine-id).
          type: str
          returned: always
        product_uuid:
          description: Identity that the firmware gives. Null in containers and on boards without such firmware.
          type: str
          returned: always
        interfaces:
          description:
            - Network interfaces with RV(ignore:name), RV(ignore:mac) and RV(ignore:addresses), without those of containers and pod
              networks.
          type: list
          elements: dict
          returned: always
        default_interface:
          description: Interface of the default route.
          type: str
          returned: always
        default_address:
          description: Address that the machine speaks from on its default route.
          type: str
          returned: always
          sample: 172.29.96.21
        os:
          description:
            - The operating system. Keys are C(id), C(version_id), C(codename), C(family) (debian, redhat or other), C(pretty_name),
              C(kernel), C(architecture) (Debian's names), C(bits), and C(hypriot), which is empty but on HypriotOS.
          type: dict
          returned: always
        raspberry_pi:
          description:
            - The board's C(model), and C(command_line), the file that its firmware hands to the kernel. Null on other machines.
          type: dict
          returned: always
        cpus:
          description: Processors that may be used.
          type: int
          returned: always
        memory_mb:
          description: Main memory in MiB.
          type: int
          returned: always
        python:
          description: Version of the Python that ran this module.
          type: str
          returned: always
        time:
          description:
            - C(epoch), the machine's clock in seconds, and C(synchronized), whether it is kept in step (null where that cannot be
              told).
          type: dict
          returned: always
        swap:
          description:
            - C(active), the devices in use, C(fstab), whether /etc/fstab brings swap back at boot, and C(rpi_swap), whether Raspberry Pi
              OS's package of that name is there, which does too.
          type: dict
          returned: always
        cgroup:
          description: C(version) of control groups, 1 or 2, and C(memory), whether memory can be limited.
          type: dict
          returned: always
        capabilities:
          description: Whether services can have C(sys_admin) and C(sys_resource).
          type: dict
          returned: always
        container:
          description: Kind of container that the machine is. Null for real and virtual machines.
          type: str
          returned: always
        modules:
          description: For each kernel module that matters, V(available) (loaded, built in or loadable) or V(missing).
          type: dict
          returned: always
        sysctl:
          description: Kernel parameters that matter, as text. Null where the kernel has none of that name.
          type: dict
          returned: always
        selinux:
          description: V(disabled), V(permissive) or V(enforcing).
          type: str
          returned: always
        firewall:
          description: C(firewalld) and C(ufw), each V(active), V(inactive) or V(absent).
          type: dict
          returned: always
        resolver:
          description:
            - C(path) of the resolver's configuration, its C(servers), C(loopback) if one of them is the machine itself, and C(upstream),
              a file with real servers where there is one.
          type: dict
          returned: always
        iptables:
          description: C(variant), nft or legacy, and C(agree), whether all commands of the family are of one kind.
          type: dict
          returned: always
        ports:
          description: TCP ports on which something listens, with the name of the process, V(?) where it cannot be told.
          type: dict
          returned: always
        disks:
          description:
            - Room under V(/), V(/var/lib) and the directories of containerd, Docker, kubelet and etcd, with C(mount), C(size_mb),
              C(available_mb), C(used_percent).
          type: dict
          returned: always
        digests:
          description: sha256 of the configuration files of containerd, kubelet and the static pods.
          type: dict
          returned: always
        packages:
          description: Versions of the packages that matter. Null for those not installed.
          type: dict
          returned: always
        held:
          description: Those of them that are held at their version.
          type: list
          elements: str
          returned: always
        runtime:
          description:
            - C(containerd), its version, and C(active), whether it runs.
            - C(docker_active), whether Docker runs, C(cri_dockerd), whether that does, and C(cri_dockerd_version).
          type: dict
          returned: always
        kubernetes:
          description:
            - What kubeadm has made of the node.
            - C(stage) is V(absent), V(interrupted) (Kubestead began and did not finish), V(partial) (traces of somebody else that
              make no member) or V(member).
            - C(role) is V(control_plane), V(worker) or null. C(busy) tells that a kubeadm of Kubestead runs just now.
            - C(settings) has, by variable, what cannot be changed in a cluster that is built, as far as the files of a member show it.
            - Further keys are C(node_name), C(server), C(static_pods), C(etcd_member), C(external_etcd), C(ca_hash), C(kubelet_active),
              C(kubelet_enabled), C(kubelet_version),
              C(api_server_version), C(api_healthy), C(admin_conf), C(interrupted), C(traces) and, for a partial node, C(recovery).
          type: dict
          returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._node_state import NodeState


def main() -> t.NoReturn:
    """Gather and return."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)

    def run(*command: str) -> t.Optional[str]:
        path = module.get_bin_path(command[0])
        if path is None:
            return None
        rc, stdout, _stderr = module.run_command([path, *command[1:]], environ_update={"LC_ALL": "C"})
        return str(stdout) if rc == 0 else None

    module.exit_json(changed=False, ansible_facts={"kubestead": NodeState(run).gather()})
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
