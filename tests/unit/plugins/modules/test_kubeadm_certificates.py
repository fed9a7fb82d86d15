"""Certificates lent to a joining control plane, and taken back with all that kubeadm makes for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_certificates
from ansible_collections.kubestead.cluster.plugins.modules.kubeadm_certificates import OWNER, Certificates

KEY = "0123456789abcdef" * 4
STORED = {"kind": "ConfigMap", "data": {"ClusterConfiguration": "kind: ClusterConfiguration\n"}}
TOKENS = [
    {"token": "abcdef.0123456789abcdef", "description": OWNER},
    {"token": "fedcba.0123456789abcdef", "description": "somebody's own"},
]


@pytest.fixture
def cluster(fake_module: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a module on a control plane where certificates are lent, or not; what it hands to kubeadm is kept."""
    kubeconfig = tmp_path / "admin.conf"
    kubeconfig.touch()

    @contextmanager
    def nothing(*_: Any) -> Any:
        yield tmp_path

    monkeypatch.setattr(kubeadm_certificates, "node_lock", nothing)
    monkeypatch.setattr(kubeadm_certificates, "secret_directory", nothing)

    def make(state: str, lent: bool) -> Any:
        def answer(command: list[str], _data: str | None) -> tuple[int, str, str]:
            words = " ".join(command)
            if "get configmap/kubeadm-config" in words:
                return 0, json.dumps(STORED), ""
            if "get secret/kubeadm-certs" in words:
                return 0, json.dumps({"kind": "Secret"}) if lent else "", ""
            if "token list" in words:
                return 0, "\n".join(map(json.dumps, TOKENS if lent else TOKENS[1:])), ""
            if "upload-certs" in words:
                module.handed_over = Path(command[command.index("--config") + 1]).read_text()
            return 0, "", ""

        module = fake_module(answer, state=state, certificate_key=KEY, kubeconfig=str(kubeconfig))
        return module

    return make


def said(module: Any, *words: str) -> list[list[str]]:
    """The commands that hold all these words."""
    return [command for command in module.commands if set(words) <= set(command)]


def test_the_key_goes_by_file_and_never_by_argument(cluster: Callable[..., Any]) -> None:
    module = cluster("present", lent=False)
    assert Certificates(module).perform() == {"changed": True}
    assert KEY in module.handed_over
    assert "kind: ClusterConfiguration" in module.handed_over
    assert not any(KEY in word for command in module.commands for word in command)


def test_taken_back_with_the_token_that_owns_them(cluster: Callable[..., Any]) -> None:
    module = cluster("absent", lent=True)
    assert Certificates(module).perform() == {"changed": True}
    assert said(module, "delete", "secret/kubeadm-certs")
    (deleted,) = said(module, "token", "delete")
    assert "abcdef" in deleted


def test_where_nothing_is_lent_nothing_is_deleted(cluster: Callable[..., Any]) -> None:
    module = cluster("absent", lent=False)
    assert Certificates(module).perform() == {"changed": False}
    assert not said(module, "delete")


@pytest.mark.parametrize(("state", "changed"), [("present", True), ("absent", True)])
def test_check_mode_touches_nothing(cluster: Callable[..., Any], state: str, changed: bool) -> None:
    module = cluster(state, lent=True)
    module.check_mode = True
    assert Certificates(module).perform() == {"changed": changed}
    assert not said(module, "delete")
    assert not said(module, "upload-certs")


def test_check_mode_knows_of_a_cluster_that_is_still_to_come(cluster: Callable[..., Any]) -> None:
    module = cluster("absent", lent=False)
    module.check_mode, module.params["kubeconfig"] = True, "/nowhere/admin.conf"
    assert Certificates(module).perform() == {"changed": False}
    assert module.commands == []
