from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubestead.runs.progress import Notice, Progress
from kubestead.runs.record import Record

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture(scope="session")
def events() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((RECORDED / "events.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def replayed(events: list[dict[str, Any]]) -> tuple[Progress, list[Notice]]:
    progress = Progress()
    return progress, [notice for event in events for notice in progress.feed(event)]


@pytest.fixture
def keep(events: list[dict[str, Any]], tmp_path: Path) -> Callable[..., Path]:
    """Makes a record of the recorded run, as a run would; gives its folder."""

    def kept(
        playbook: str = "site", *, root: Path = tmp_path / "kubestead/runs", until: int | None = None, **about: object
    ) -> Path:
        known = {
            "playbook": playbook,
            "inventory": "/src/home",
            "cluster": "home",
            "command": "ansible-playbook kubestead.cluster.site -i home",
            "started": "2026-11-21T05:57:58+00:00",
            "versions": {"kubestead": "0.1.0", "kubernetes": "1.36"},
        }
        record = Record.begin(playbook, root, {**known, **about})
        progress = Progress()
        for event in events[:until]:
            list(progress.feed(event))
            record.event(event, progress)
        list(progress.finish())
        if until is None:
            record.end({"ok": False, "rc": 2, "outcome": "failed", "ended": "2026-11-21T05:58:02+00:00"}, progress)
        return record.directory

    return kept
