"""docs/preflight.md describes each finding in the words that a user of the role sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._preflight import KINDS, TESTED_SYSTEMS

PAGE = Path(__file__).parents[3] / "docs" / "preflight.md"
FIELDS = {"pod_cidr": "POD-CIDR", "free_id": "NUMBER"}


def section(name: str) -> str:
    """What the page says of one finding."""
    kind = KINDS[name]
    remedy = kind.remedy.format(**FIELDS)
    level = kind.level if kind.acceptable else f"{kind.level}, cannot be accepted"
    return f"### {name}\n\n{kind.summary} ({level})\n\n- Why: {kind.why}\n- Do: {remedy}\n"


@pytest.mark.parametrize("name", KINDS)
def test_the_page_describes(name: str) -> None:
    assert section(name) in PAGE.read_text(encoding="utf-8")


def test_the_page_describes_nothing_else() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("### ") for line in lines if line.startswith("### ")] == list(KINDS)


@pytest.mark.parametrize("system", TESTED_SYSTEMS)
def test_the_page_names_the_system(system: str) -> None:
    row = f"| `{system}` | {', '.join(TESTED_SYSTEMS[system])} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines()
