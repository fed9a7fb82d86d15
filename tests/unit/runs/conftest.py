from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubestead.runs.progress import Notice, Progress

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture(scope="session")
def events() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((RECORDED / "events.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def replayed(events: list[dict[str, Any]]) -> tuple[Progress, list[Notice]]:
    progress = Progress()
    return progress, [notice for event in events for notice in progress.feed(event)]
