"""kubectl while its API server is away for a moment, and while it is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl

AWAY = "The connection to the server 192.0.2.11:6443 was refused - did you specify the right host or port?"
DENIED = 'Error from server (Forbidden): nodes "worker-1" is forbidden'


class Clock:
    """Stands for the module time: sleeping is what makes it pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_kubectl, "time", clock)
    return clock


def asked(fake_module: Any, answers: list[str], patience: float) -> Any:
    """A module whose kubectl fails with each of these words in turn, and then succeeds."""
    left = list(answers)
    module = fake_module(lambda _command, _data: (1, "", left.pop(0)) if left else (0, "{}", ""))
    Kubectl(module, "/admin.conf", patience).run("get", "nodes")
    return module


@pytest.mark.parametrize(
    "words",
    [
        AWAY,
        "Unable to connect to the server: EOF",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "Error from server: etcdserver: leader changed",
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    ],
)
def test_an_api_server_that_comes_back_in_time_was_never_away(fake_module: Any, clock: Clock, words: str) -> None:
    assert len(asked(fake_module, [words] * 3, 60).commands) == 4
    assert clock.now == 3


def test_patience_ends(fake_module: Any, clock: Clock) -> None:
    with pytest.raises(KubesteadError, match="was refused"):
        asked(fake_module, [AWAY] * 100, 10)
    assert clock.now == 10


@pytest.mark.parametrize(("words", "patience"), [(DENIED, 60), (AWAY, 0)])
def test_what_will_not_pass_is_told_at_once(fake_module: Any, clock: Clock, words: str, patience: float) -> None:
    with pytest.raises(KubesteadError):
        asked(fake_module, [words], patience)
    assert clock.now == 0
