from __future__ import annotations

from pathlib import Path

import pytest

from kubestead import paths


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/elsewhere", "/elsewhere/kubestead"), ("", ".cache/kubestead"), ("relative", ".cache/kubestead")],
)
def test_the_cache_follows_xdg(value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert paths.cache_dir() == tmp_path / expected


def test_state_is_kept_apart_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert paths.state_dir() == tmp_path / ".local/state/kubestead"
