# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules share: options that several of them take."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules."""

    DOCUMENTATION = r"""
options: {}
"""

    KUBEADM_FLAGS = r"""
options:
  patches_directory:
    description:
      - Directory on the node with patches that kubeadm lays over what it writes, for example those of the kubelet's configuration.
    type: path
  ignore_preflight_errors:
    description: Names of kubeadm's preflight checks whose errors count as warnings.
    type: list
    elements: str
    default: []
  skip_phases:
    description: Phases that kubeadm leaves out, as C(addon/kube-proxy).
    type: list
    elements: str
    default: []
"""
