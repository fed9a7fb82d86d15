"""The mirror as a lab has it: complete for one cluster, and served by a process of its own on the network's gateway."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kubestead.lab.errors import LabError
from kubestead.lab.plan import Plan

if TYPE_CHECKING:
    from kubestead.mirror.progress import Reporter


def serve(plan: Plan, say: Callable[[str], None], progress: Reporter | None = None) -> None:
    """Complete the mirror, and serve it at the address that the inventory names.

    :raises LabError: it cannot be built, or not be served there.
    """
    # Neither is needed for labs whose mirror is elsewhere, and both take time to import.
    from kubestead.mirror import build
    from kubestead.mirror import serve as server
    from kubestead.mirror.catalogue import load
    from kubestead.mirror.errors import MirrorError

    try:
        catalogue = load()
        minor = ".".join(plan.kubernetes.split(".")[:2]) or catalogue.default
        say(f"completing the mirror for Kubernetes {minor}")
        build.ensure(minor, catalogue.components_for(plan.variables), progress=progress)
        if state(plan) != "answers":
            stop(plan.folder)
            say(f"serving the mirror at {plan.mirror_url}")
            server.start_background(f"{plan.gateway}:{plan.mirror_port}", plan.folder)
    except MirrorError as error:
        raise LabError(str(error)) from error


def stop(folder: Path) -> bool:
    """End the server of the lab that keeps its state in this folder; False where none ran."""
    from kubestead.mirror import serve as server

    return server.stop_background(folder)


def state(plan: Plan) -> str:
    """``answers``, ``silent``, or ``elsewhere`` where the inventory names no mirror on this machine."""
    if plan.mirror_port is None:
        return "elsewhere"
    try:
        # Proxies are for the way out of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{plan.mirror_url.rstrip('/')}/index.json", timeout=3):
            return "answers"
    except (urllib.error.URLError, OSError):
        return "silent"
