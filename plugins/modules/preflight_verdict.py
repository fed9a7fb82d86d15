#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action preflight_verdict."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_verdict
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Judge whether machines can become the nodes and load balancers of a cluster
description:
  - Takes what M(kubestead.cluster.preflight_look) returned for each host, runs on the controller, and tells every finding of every host.
  - Fails where a finding of level error was not accepted in C(cluster_preflight_ignore) of its host.
attributes:
  check_mode:
    description: Reads only, so check mode makes no difference.
    support: full
  diff_mode:
    description: Has no diff.
    support: none
options:
  looks:
    description: Host names, each with what M(kubestead.cluster.preflight_look) returned for it.
    type: dict
    required: true
seealso:
  - module: kubestead.cluster.preflight_look
"""

EXAMPLES = r"""
- name: Judge all machines
  kubestead.cluster.preflight_verdict:
    looks: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'look'))) }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: Every finding of every host, what each means, what to do about it and how to accept it.
  returned: always
  type: str
"""
