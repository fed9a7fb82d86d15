"""What can go wrong in the lab, said so that the reader knows what to do."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the message says what was tried, what came back and what to do next."""
