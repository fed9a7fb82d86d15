# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules share: what they support."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell what would change, without changing it.
  diff_mode:
    description: Tells in diff mode what changes or would change.
  idempotent:
    description: When run again with the same options, and nothing else has changed meanwhile, does not change anything.
"""

    ACTION_GROUP_KUBEADM = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubestead.cluster.kubeadm) in C(module_defaults) to set defaults for this module.
    support: full
    membership: [kubestead.cluster.kubeadm]
"""

    ACTION_GROUP_KUBECTL = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubestead.cluster.kubectl) in C(module_defaults) to set defaults for this module.
    support: full
    membership: [kubestead.cluster.kubectl]
"""

    READS_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Reads only.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
"""

    CLEANUP = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Returns what would go.
  diff_mode:
    support: none
    details: RV(removed) tells the same.
  idempotent:
    support: full
"""

    FACTS = r"""
options: {}
attributes:
  facts:
    description: Returns facts of the host.
"""
