#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action preflight_look."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_look
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Look at a machine before it becomes a node
description:
  - Runs M(kubestead.cluster.node_state), with the controller's clock read before and after, so that clocks can be compared.
  - On a load balancer, runs M(kubestead.cluster.virtual_ip_probe) after it.
  - Does not fail where the machine cannot be reached or examined, but says so, for M(kubestead.cluster.preflight_verdict) to judge.
attributes:
  check_mode:
    description: Reads only, so check mode makes no difference.
    support: full
  diff_mode:
    description: Has no diff.
    support: none
options:
  spec:
    description: What is wanted of the host, passed through to the verdict.
    type: dict
    required: true
seealso:
  - module: kubestead.cluster.preflight_verdict
  - module: kubestead.cluster.node_state
  - module: kubestead.cluster.virtual_ip_probe
"""

EXAMPLES = r"""
- name: Look at every machine
  kubestead.cluster.preflight_look:
    spec:
      control_plane: "{{ inventory_hostname in groups['control_plane'] }}"
      load_balancer: false
  register: look
"""

RETURN = r"""
ansible_facts:
  description: What M(kubestead.cluster.node_state) returns, with C(time.window), the controller's clock before and after.
  returned: where the machine could be examined
  type: dict
probe:
  description:
    - What M(kubestead.cluster.virtual_ip_probe) returns, C(answers), C(routers), C(keepalived) and C(haproxy). Where it failed, C(failure)
      says why.
  returned: on load balancers that could be examined
  type: dict
problem:
  description: Why it could not, with the keys C(finding) and C(seen).
  returned: otherwise
  type: dict
spec:
  description: The option, as given.
  returned: always
  type: dict
"""
