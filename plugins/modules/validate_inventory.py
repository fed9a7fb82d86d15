#!/usr/bin/python
# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Documentation of the action validate_inventory, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_inventory
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Every mistake of an inventory in one list
description:
  - Measures the whole inventory of the run by the specification of the cluster and by the catalogue, on the controller.
  - No host is contacted. Only the mirror is asked for its index, where C(cluster_validate_mirror) is on.
  - Templates are rendered where the inventory tells all they need; a value that needs facts is passed over.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Has no diff.
    support: none
"""

EXAMPLES = r"""
- name: Check the inventory
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Find every mistake
      kubestead.cluster.validate_inventory:
"""

RETURN = r"""
errors:
  description: The mistakes, by file and line, each with the keys that apply. The task fails where there is one.
  returned: always
  type: list
  elements: dict
  contains:
    rule:
      description: Name of the rule that was broken.
      type: str
    file:
      description: File in which it stands, where known.
      type: str
    line:
      description: Line of the file, where known.
      type: int
    host:
      description: Host that it is about.
      type: str
    group:
      description: Group that it is about.
      type: str
    variable:
      description: Variable that it is about.
      type: str
    value:
      description: The value as it would be written; none for a secret one.
      type: str
    allowed:
      description: What is allowed.
      type: str
    hint:
      description: What was probably meant.
      type: str
    message:
      description: All of it in one line.
      type: str
  sample:
    - rule: unknown-variable
      file: /home/ada/kubestead/inventories/prod/group_vars/all/cluster.yml
      line: 7
      variable: cluster_pod_cdir
      hint: Did you mean cluster_pod_cidr?
      message: >-
        inventories/prod/group_vars/all/cluster.yml:7: cluster_pod_cdir: there is no such variable.
        Did you mean cluster_pod_cidr?
doubts:
  description: What is allowed and may not be meant, in the form of RV(errors). Each is shown as a warning.
  returned: always
  type: list
  elements: dict
msg:
  description: The mistakes as a list to be read.
  returned: always
  type: str
"""
