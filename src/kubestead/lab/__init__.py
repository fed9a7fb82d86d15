"""The lab: nodes that are containers on this machine. Knows containers, and nothing of Kubernetes."""

from __future__ import annotations

from kubestead.lab.errors import LabError
from kubestead.lab.lab import Lab, NodeStatus, Status, Wish

__all__ = ["Lab", "LabError", "NodeStatus", "Status", "Wish"]
