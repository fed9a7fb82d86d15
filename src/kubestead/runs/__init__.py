"""Runs of the collection's playbooks: started through ansible-runner, shown while they go, explained and recorded."""

from __future__ import annotations

from kubestead.runs.progress import Failure, HostStats, PhaseTime
from kubestead.runs.run import RunResult, run_playbook

__all__ = ["Failure", "HostStats", "PhaseTime", "RunResult", "run_playbook"]
