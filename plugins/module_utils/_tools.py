# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of a node that several modules call, beside kubeadm and kubectl."""

from __future__ import annotations

from ansible_collections.kubestead.cluster.plugins.module_utils._command import Tool


class Crictl(Tool):
    """crictl, which speaks to the container runtime."""

    name = "crictl"
    package = "cri-tools"


class Systemctl(Tool):
    """The service manager."""

    name = "systemctl"
    package = "systemd"
