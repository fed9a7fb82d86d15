"""Renewal of a control plane's certificates, on files of authorities made for the test; kubeadm and the runtime are played."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _renewal
from ansible_collections.kubestead.cluster.plugins.module_utils._certificates_state import KUBEADM
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._renewal import Renewal

from .authority import Authority, write_pair

PODS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
READERS = PODS[1:]
SERVERS = ("pki/apiserver", "pki/etcd/server", "pki/etcd/peer")
MANIFEST = "- --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt\n- --etcd-servers=https://127.0.0.1:2379\n"


class ControlPlane:
    """A control plane's files below a folder, its kubeadm, and its static pods."""

    def __init__(self, root: Path, fake_module: type[Any], days: float = 300) -> None:
        self.root = root
        self.folder = root / "etc/kubernetes"
        self.cluster, self.front, self.etcd = Authority("kubernetes"), Authority("front-proxy-ca"), Authority("etcd-ca")
        self.validity = "8760h0m0s"
        self.complaints: dict[str, str] = {}
        self.restarts: list[str] = []
        self.stuck: set[str] = set()
        self.started = dict.fromkeys(PODS, 0.0)
        self.module = fake_module(self.answer, names=[], before=60, force=False, timeout=5)
        for name, authority in (("ca", self.cluster), ("front-proxy-ca", self.front), ("etcd/ca", self.etcd)):
            authority.write(self.folder / "pki" / name)
        for name in KUBEADM:
            self.make(name, days)
        for name in PODS:
            self.put(f"etc/kubernetes/manifests/{name}.yaml", MANIFEST)
        self.put("etc/kubernetes/kubelet.conf", self.cluster.kubeconfig("system:node:a"))
        self.put("var/lib/kubelet/pki/kubelet-client-current.pem", self.cluster.sign("system:node:a")[0])
        self.start_all()

    def put(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def make(self, name: str, days: float) -> None:
        """Make a certificate of kubeadm's, given by its file."""
        if name.endswith(".conf"):
            self.put(f"etc/kubernetes/{name}", self.cluster.kubeconfig(name, days))
            return
        stem = name.removesuffix(".crt")
        authority = self.etcd if "etcd" in stem else self.front if "front" in stem else self.cluster
        write_pair(self.folder / stem, authority.sign(stem, days, server=stem in SERVERS))

    def start_all(self) -> None:
        self.started = dict.fromkeys(PODS, time.time() + 1)

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        if "renew" in command:
            name = command[command.index("renew") + 1]
            for file in [file for file, called in KUBEADM.items() if name in ("all", called)]:
                self.make(file, 365)
                os.utime(self.folder / file, (time.time() + 60, time.time() + 60))
            return 0, "", ""
        configuration = f"apiServer: {{}}\ncertificateValidityPeriod: {self.validity}\n"
        return 0, json.dumps({"data": {"ClusterConfiguration": configuration}}), ""

    def renewal(self, **params: Any) -> Renewal:
        self.module.params.update(params)
        renewal = Renewal(self.module, str(self.root))
        renewal.pods = Pods(self)  # type: ignore[assignment]
        renewal.certificates.served = self.served  # type: ignore[method-assign]
        return renewal

    def complaint(self, name: str) -> str:
        return self.complaints.get(name, "")

    def restart(self, names: list[str], _timeout: float) -> list[dict[str, Any]]:
        self.restarts += names
        for name in names:
            self.started[name] = time.time() + 120
        return [{"name": name} for name in names]

    def started_at(self, name: str) -> float:
        return self.started[name]

    def served(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "port": 1, "path": "a file", "current": name not in self.stuck, "error": ""}
            for name in PODS[:2]
        ]


class Pods:
    """The control plane, seen as its static pods."""

    names = PODS

    def __init__(self, node: ControlPlane) -> None:
        self.complaint = node.complaint
        self.restart = node.restart
        self.started = node.started_at


@pytest.fixture
def node(tmp_path: Path, fake_module: type[Any], monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    @contextmanager
    def lock(_timeout: float) -> Iterator[int]:
        yield 0

    monkeypatch.setattr(_renewal, "node_lock", lock)
    monkeypatch.setattr(_renewal, "SECRETS", str(tmp_path / "run"))
    return ControlPlane(tmp_path, fake_module)


def refusal(renewal: Renewal) -> str:
    with pytest.raises(KubesteadError) as caught:
        renewal.perform()
    return caught.value.message


def kubeadm(node: ControlPlane) -> list[str]:
    """What kubeadm was told to renew."""
    return [command[command.index("renew") + 1] for command in node.module.commands if "renew" in command]


def test_what_is_good_for_long_is_left_alone(node: ControlPlane) -> None:
    result = node.renewal().perform()
    assert (result["changed"], result["renewed"], result["restarted"]) == (False, [], [])
    assert node.module.commands == []
    assert not (node.root / "run").exists(), "the keys that lay in kubeconfigs are gone"


@pytest.mark.parametrize(("days", "due"), [(59, True), (61, False), (-3, True)])
def test_one_that_expires_soon_has_all_renewed(node: ControlPlane, days: int, due: bool) -> None:
    node.make("scheduler.conf", days)
    node.start_all()
    result = node.renewal().perform()
    assert (kubeadm(node), node.restarts) == ((["all"], READERS) if due else ([], []))
    assert sorted(result["renewed"]) == (sorted(KUBEADM.values()) if due else [])
    assert result["changed"] is due


def test_force_renews_at_once_and_a_second_run_changes_nothing(node: ControlPlane) -> None:
    assert node.renewal(force=True).perform()["restarted"] == READERS
    assert node.renewal(force=False).perform()["changed"] is False


def test_check_mode_tells_the_same_and_changes_nothing(node: ControlPlane) -> None:
    node.module.check_mode = True
    before = (node.folder / "pki/apiserver.crt").read_text()
    result = node.renewal(force=True).perform()
    assert (result["changed"], result["restarted"]) == (True, READERS)
    assert sorted(result["renewed"]) == sorted(KUBEADM.values())
    assert (kubeadm(node), node.restarts) == ([], [])
    assert (node.folder / "pki/apiserver.crt").read_text() == before


def test_single_ones_by_their_names(node: ControlPlane) -> None:
    assert node.renewal(force=True, names=["admin.conf"]).perform()["restarted"] == []
    assert kubeadm(node) == ["admin.conf"]
    assert "no certificate bogus on this node. It has admin.conf, apiserver" in refusal(node.renewal(names=["bogus"]))


def test_an_interrupted_renewal_is_finished(node: ControlPlane) -> None:
    """Killed between kubeadm and the restarts: the pods are older than what they read."""
    node.answer(["kubeadm", "certs", "renew", "all"], None)
    result = node.renewal().perform()
    assert (result["changed"], result["renewed"], result["restarted"]) == (True, [], READERS)


def test_etcd_is_restarted_only_where_it_shows_the_old_one(node: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    node.stuck = {"etcd"}
    monkeypatch.setattr(_renewal, "wait_for", lambda *_args, **_options: None)
    assert node.renewal().perform()["restarted"] == ["etcd"]


def test_a_server_that_goes_on_showing_the_old_one_is_told(node: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    node.stuck = {"kube-apiserver"}
    wait_for = _renewal.wait_for
    monkeypatch.setattr(
        _renewal, "wait_for", lambda look, done, what, _timeout, **options: wait_for(look, done, what, 0, **options)
    )
    assert "kube-apiserver on port 1: still the old one" in refusal(node.renewal())


def test_a_node_without_a_control_plane_is_refused(node: ControlPlane) -> None:
    for path in (node.folder / "manifests").iterdir():
        path.unlink()
    (node.folder / "admin.conf").unlink()
    assert "no control plane of a cluster" in refusal(node.renewal())


FOREIGN: dict[str, tuple[Callable[[ControlPlane], Any], str]] = {
    "server": (
        lambda node: write_pair(node.folder / "pki/apiserver", Authority("kubernetes").sign("a", server=True)),
        "pki/apiserver.crt: pki/ca.crt has not signed it",
    ),
    "client": (
        lambda node: write_pair(node.folder / "pki/front-proxy-client", Authority("front-proxy-ca").sign("a")),
        "pki/front-proxy-client.crt: pki/front-proxy-ca.crt has not signed it",
    ),
    "etcd": (
        lambda node: write_pair(node.folder / "pki/etcd/peer", node.cluster.sign("a", server=True)),
        "pki/etcd/peer.crt: pki/etcd/ca.crt has not signed it",
    ),
    "authority": (
        lambda node: Authority("kubernetes").write(node.folder / "pki/ca"),
        "kubelet.conf: it trusts another authority than pki/ca.crt",
    ),
    "key-of-authority": (
        lambda node: (node.folder / "pki/ca.key").write_text((node.folder / "pki/etcd/ca.key").read_text()),
        "pki/ca.crt: its key does not fit it",
    ),
    "key": (
        lambda node: (node.folder / "pki/etcd/server.key").write_text((node.folder / "pki/etcd/peer.key").read_text()),
        "pki/etcd/server.crt: its key does not fit it",
    ),
    "kubeconfig": (
        lambda node: node.put("etc/kubernetes/admin.conf", Authority("kubernetes").kubeconfig("admin")),
        "admin.conf: it trusts another authority",
    ),
    "empty-kubeconfig": (
        lambda node: node.put("etc/kubernetes/scheduler.conf", "users: []\n"),
        "scheduler.conf: it holds no client certificate with its key",
    ),
    "damaged-kubeconfig": (
        lambda node: node.put("etc/kubernetes/admin.conf", "- cluster:\n    certificate-authority-data: bm9uZQ==\n"),
        "admin.conf: No certificate in admin.conf",
    ),
    "damaged": (
        lambda node: (node.folder / "pki/apiserver-kubelet-client.crt").write_text("no certificate"),
        "pki/apiserver-kubelet-client.crt: its key does not fit it",
    ),
    "expired-authority": (
        lambda node: Authority("front-proxy-ca", days=-1).write(node.folder / "pki/front-proxy-ca"),
        "pki/front-proxy-ca.crt: it has expired",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("force", [True, False])
def test_a_folder_that_is_not_ours_is_refused_and_left_alone(
    node: ControlPlane, spoil: Callable[[ControlPlane], Any], said: str, force: bool
) -> None:
    spoil(node)
    message = refusal(node.renewal(force=force))
    assert said in message
    assert "Nothing was changed." in message
    assert (node.module.commands, node.restarts) == ([], [])


def test_without_the_authority_s_key_the_way_is_shown(node: ControlPlane) -> None:
    (node.folder / "pki/front-proxy-ca.key").unlink()
    message = refusal(node.renewal(force=True))
    assert message.startswith("The key of pki/front-proxy-ca is not on this node")
    assert "kubeadm certs generate-csr" in message
    assert kubeadm(node) == []


def test_with_an_etcd_of_ones_own_its_authority_is_not_missed(node: ControlPlane) -> None:
    for path in (node.folder / "pki/etcd").iterdir():
        path.unlink()
    for suffix in ("crt", "key"):
        (node.folder / f"pki/apiserver-etcd-client.{suffix}").unlink()
    node.put("etc/kubernetes/manifests/kube-apiserver.yaml", "- --etcd-servers=https://192.0.2.9:2379\n")
    assert node.renewal().perform()["changed"] is False


def test_one_that_is_ill_for_another_reason_is_not_touched(node: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_renewal, "PATIENCE", 0)
    node.complaints = {"etcd": "etcd has no leader"}
    message = refusal(node.renewal(force=True))
    assert "- etcd: etcd has no leader" in message
    assert kubeadm(node) == []
    node.make("pki/apiserver.crt", -1)
    assert node.renewal(force=False).perform()["changed"] is True


def test_one_that_was_started_a_moment_ago_is_waited_for(node: ControlPlane) -> None:
    node.complaints = {"kube-apiserver": "its /readyz does not answer with 200"}
    recovery = threading.Timer(0.2, node.complaints.clear)
    recovery.start()
    assert node.renewal(force=True).perform()["changed"] is True


def test_nothing_is_made_that_outlives_a_year(node: ControlPlane) -> None:
    node.validity = "876000h"
    message = refusal(node.renewal(force=True))
    assert "good for 876000h" in message
    assert "8760h" in message
    assert kubeadm(node) == []


def test_a_kubeadm_that_did_nothing_is_told(node: ControlPlane) -> None:
    answer = node.answer
    node.module.answer = lambda command, data: (0, "", "") if "renew" in command else answer(command, data)
    assert "kubeadm ended well and left" in refusal(node.renewal(force=True))
