"""The cluster's own copy of its configuration: uploaded where what was given differs, and remembered."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _cluster_settings
from ansible_collections.kubestead.cluster.plugins.module_utils._cluster_settings import RECORD, ClusterSettings, given
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

from .test_settings import DOCUMENTS

PHASES = {"kubeadm", "kubelet", "kube-proxy"}


class Api:
    """kubectl and kubeadm; kubeadm's phase for kube-proxy writes its ConfigMap."""

    def __init__(self, record: Any) -> None:
        self.record = record
        self.uploaded: list[str] = []
        self.rollouts: list[str] = []
        self.proxy = "mode: iptables"
        self.proxy_to_be = "mode: iptables"
        self.absent = False

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        words = command[1:]
        if words[0] == "init":
            self.uploaded.append(words[3])
            self.proxy = self.proxy_to_be if words[3] == "kube-proxy" else self.proxy
        elif words[0] == "config":
            return 0, "", 'W1121 13:24:00.000000 1 strict.go:55] unknown field "maxPodz"\n'
        elif words[0] == "rollout":
            self.rollouts.append(words[1])
            return 0, "".join("Waiting\n" for one in self.rollouts if one == "restart") + "rolled out\n", ""
        elif words[0] == "annotate":
            (text,) = [word for word in words if word.startswith(f"{RECORD}=")]
            self.record = json.loads(text.partition("=")[2])
        elif words[0] == "get":
            return 0, json.dumps({"kind": "List", "items": [] if self.absent else self._maps()}), ""
        return 0, "", ""

    def _maps(self) -> list[dict[str, Any]]:
        annotations = {} if self.record is None else {RECORD: json.dumps(self.record)}
        configuration = {"ClusterConfiguration": "kubernetesVersion: v1.36.4\n"}
        return [
            {"metadata": {"name": "kubeadm-config", "annotations": annotations}, "data": configuration},
            {"metadata": {"name": "kubelet-config"}, "data": {}},
            {"metadata": {"name": "kube-proxy"}, "data": {"config.conf": self.proxy}},
        ]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(_cluster_settings, "node_lock", lambda _timeout: nullcontext(3))
    monkeypatch.setattr(_cluster_settings, "secret_directory", lambda: nullcontext("/run/x"))
    monkeypatch.setattr(_cluster_settings, "write_secret", lambda _folder, name, text: texts.append(text) or name)
    return texts


@pytest.fixture
def perform(fake_module: Callable[..., Any], written: list[str]) -> Callable[..., dict[str, Any]]:
    def run(api: Api, documents: Any, check_mode: bool = False) -> dict[str, Any]:
        module = fake_module(api.answer, config=documents, timeout=300)
        module.check_mode = check_mode
        return ClusterSettings(module).perform()

    return run


def changed(kind: str, **values: Any) -> list[dict[str, Any]]:
    """The documents, one of them with other values."""
    documents = copy.deepcopy(DOCUMENTS)
    next(one for one in documents if one["kind"] == kind).update(values)
    return documents


def test_what_was_given_before_is_not_uploaded_again(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(given(DOCUMENTS))
    assert perform(api, changed("ClusterConfiguration", kubernetesVersion="v1.38.0"))["changed"] is False
    assert (api.uploaded, api.rollouts) == ([], [])


def test_only_the_document_that_changed_is_uploaded(perform: Callable[..., dict[str, Any]], written: list[str]) -> None:
    api = Api(given(DOCUMENTS))
    documents = changed("KubeletConfiguration", maxPods=130)
    result = perform(api, documents)
    assert (result["differences"], api.uploaded, api.rollouts) == (["KubeletConfiguration"], ["kubelet"], [])
    assert '"kubernetesVersion": "v1.36.4"' in written[0]
    assert result["warnings"] == ['unknown field "maxPodz"']
    assert api.record == given(documents)
    assert perform(api, documents)["changed"] is False


def test_a_setting_that_is_no_longer_given_is_noticed(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(given(DOCUMENTS))
    documents = [{key: value for key, value in one.items() if key != "maxPods"} for one in DOCUMENTS]
    assert perform(api, documents)["differences"] == ["KubeletConfiguration"]


def test_kube_proxy_starts_again_with_its_new_settings(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(given(DOCUMENTS))
    api.proxy_to_be = "mode: nftables"
    assert perform(api, changed("KubeProxyConfiguration", mode="nftables"))["restarted"] == ["kube-proxy"]
    assert api.rollouts == ["restart", "status"]


@pytest.mark.parametrize("what", ["proxies", "images"])
def test_kube_proxy_follows_proxies_and_images(
    perform: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    api = Api(given(DOCUMENTS))
    documents = DOCUMENTS
    if what == "proxies":
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.org:3128")
    else:
        documents = changed("ClusterConfiguration", imageRepository="registry.example.org")
    perform(api, documents)
    assert "kube-proxy" in api.uploaded


def test_a_cluster_of_which_nothing_is_remembered_gets_everything_and_keeps_its_kube_proxy(
    perform: Callable[..., dict[str, Any]],
) -> None:
    api = Api(None)
    result = perform(api, DOCUMENTS)
    assert (set(api.uploaded), api.rollouts, result["restarted"]) == (PHASES, ["status"], [])
    assert perform(api, DOCUMENTS)["changed"] is False


def test_check_mode_uploads_nothing(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(given(DOCUMENTS))
    assert perform(api, changed("KubeletConfiguration", maxPods=130), check_mode=True)["changed"] is True
    assert (api.uploaded, api.record) == ([], given(DOCUMENTS))


def test_a_cluster_that_kubeadm_did_not_make_is_refused(perform: Callable[..., dict[str, Any]]) -> None:
    api = Api(None)
    api.absent = True
    with pytest.raises(KubesteadError, match="has no ConfigMap kubeadm-config"):
        perform(api, DOCUMENTS)
