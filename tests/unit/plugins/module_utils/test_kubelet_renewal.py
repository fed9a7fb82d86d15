"""The kubelet's own certificate; the kubelet is played: it makes one when it starts and finds none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _kubelet_renewal
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubelet_renewal import KubeletRenewal

from .authority import Authority, write_pair


class Kubelet:
    """A kubelet and its files."""

    def __init__(self, root: Path, fake_module: type[Any]) -> None:
        self.root = root
        self.folder = root / "var/lib/kubelet"
        self.starts = True
        self.module = fake_module(self.answer, before=60, force=False, timeout=1)
        self.make(300)

    @property
    def own(self) -> Path:
        return self.folder / "pki/kubelet.crt"

    def make(self, days: int) -> None:
        write_pair(self.folder / "pki/kubelet", Authority("a-ca").sign("a", days, server=True))

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        assert command[1:] == ["restart", "kubelet"]
        assert not list((self.folder / "pki").glob("kubelet.*")), "it would keep what it finds"
        if self.starts:
            self.make(365)
        return 0, "", ""

    def renewal(self, **params: Any) -> KubeletRenewal:
        self.module.params.update(params)
        renewal = KubeletRenewal(self.module, str(self.root))
        renewal.certificates.served = lambda: [  # type: ignore[method-assign]
            {"name": "kubelet", "current": self.own.exists(), "error": "" if self.own.exists() else "refused"}
        ]
        return renewal


@pytest.fixture
def kubelet(tmp_path: Path, fake_module: type[Any], monkeypatch: pytest.MonkeyPatch) -> Kubelet:
    @contextmanager
    def lock(_timeout: float) -> Iterator[int]:
        yield 0

    monkeypatch.setattr(_kubelet_renewal, "node_lock", lock)
    return Kubelet(tmp_path, fake_module)


@pytest.mark.parametrize(("days", "changed"), [(61, False), (59, True), (-100, True)])
def test_it_is_renewed_when_it_is_about_to_expire(kubelet: Kubelet, days: int, changed: bool) -> None:
    kubelet.make(days)
    before = kubelet.own.read_text()
    result = kubelet.renewal().perform()
    assert result["changed"] is changed
    assert (kubelet.own.read_text() != before) is changed
    assert result["not_after"] > "20"
    assert kubelet.renewal().perform()["changed"] is False


def test_a_damaged_one_is_renewed(kubelet: Kubelet) -> None:
    kubelet.own.write_text("damaged")
    assert kubelet.renewal().perform()["changed"] is True


def test_check_mode_removes_nothing(kubelet: Kubelet) -> None:
    kubelet.module.check_mode = True
    before = kubelet.own.read_text()
    assert kubelet.renewal(force=True).perform()["changed"] is True
    assert (kubelet.own.read_text(), kubelet.module.commands) == (before, [])


@pytest.mark.parametrize("config", ["serverTLSBootstrap: true\n", "tlsCertFile: /etc/own.crt\n"])
def test_what_others_renew_is_left_alone(kubelet: Kubelet, config: str) -> None:
    (kubelet.folder / "config.yaml").write_text(config)
    assert kubelet.renewal(force=True).perform() == {"changed": False, "not_after": ""}
    assert kubelet.module.commands == []


@pytest.mark.parametrize(("days", "changed"), [(61, False), (59, True), (-100, True)])
def test_one_that_the_cluster_signs_is_asked_for_anew(kubelet: Kubelet, days: int, changed: bool) -> None:
    """What the kubelet asks for is approved by somebody else, so nothing is waited for."""
    kubelet.starts = False
    kubelet.own.unlink()
    kubelet.own.with_suffix(".key").unlink()
    (kubelet.folder / "config.yaml").write_text("serverTLSBootstrap: true\n")
    write_pair(kubelet.folder / "pki/signed", Authority("a-ca").sign("a", days, server=True))
    link = kubelet.folder / "pki/kubelet-server-current.pem"
    link.symlink_to("signed.crt")
    assert kubelet.renewal().perform()["changed"] is changed
    assert link.is_symlink() is not changed
    assert bool(kubelet.module.commands) is changed
    assert kubelet.renewal().perform()["changed"] is False, "it was asked for already"


def test_a_kubelet_that_does_not_come_back_is_told(kubelet: Kubelet) -> None:
    kubelet.starts = False
    with pytest.raises(KubesteadError, match="Last seen: refused"):
        kubelet.renewal(force=True, timeout=0).perform()
