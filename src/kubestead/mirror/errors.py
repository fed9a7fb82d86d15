"""What can go wrong with the mirror, as one clear message each."""

from __future__ import annotations


class MirrorError(Exception):
    """Said to the user as it stands: what was tried, what came back, what to do."""
