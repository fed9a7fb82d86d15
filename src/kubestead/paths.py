"""Where Kubestead keeps things on the controller, after the XDG base directory rules."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """What can be made again: built artefacts (``mirror/``) and what the lab needs (``lab/``)."""
    return _base("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """What tells of the past: the records of runs (``runs/``)."""
    return _base("XDG_STATE_HOME", ".local/state")


def _base(variable: str, fallback: str) -> Path:
    # A relative value is to be ignored, says the XDG specification.
    configured = Path(os.environ.get(variable, ""))
    parent = configured if configured.is_absolute() else Path.home() / fallback
    return parent / "kubestead"
