"""Lengths of time as people write them."""

from __future__ import annotations

import re

_PARTS = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?:in)?)?(?:(?P<s>\d+)s)?")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def duration(text: str) -> float:
    """The seconds in ``90m``, ``1h30m`` or ``45s``; raises ValueError, which says what is allowed."""
    match = _PARTS.fullmatch(text.replace(" ", "").lower())
    total = sum(int(number) * _SECONDS[unit] for unit, number in match.groupdict(default="0").items()) if match else 0
    if not total:
        raise ValueError(f"{text!r} is no time: give hours, minutes or seconds, as 2h, 90m or 1h30m")
    return float(total)
