"""The certificates of a node, from files made for the test and from a server that shows one."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _certificates_state
from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._certificates_state import NodeCertificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._servers import Server, Servers

from .authority import NOW, Authority, write_pair

KUBELET_CONF = "users:\n- user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, str], None]:
    def put(path: str, text: str) -> None:
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    return put


@pytest.fixture
def worker(put: Callable[[str, str], None]) -> Authority:
    authority = Authority("kubernetes")
    put("/etc/kubernetes/kubelet.conf", KUBELET_CONF)
    put("/etc/kubernetes/pki/ca.crt", authority.pem)
    put("/var/lib/kubelet/pki/kubelet-client-current.pem", authority.sign("system:node:a", 200)[0])
    put("/var/lib/kubelet/pki/kubelet.crt", Authority("a-ca").sign("a", 300, server=True)[0])
    return authority


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found}


def test_a_worker_has_three(tmp_path: Path, worker: Authority) -> None:
    found = by_name(NodeCertificates(str(tmp_path)).files())
    assert set(found) == {"pki/ca.crt", "kubelet.conf", "kubelet.crt"}
    assert found["pki/ca.crt"]["authority"]
    assert found["kubelet.conf"]["path"] == "/var/lib/kubelet/pki/kubelet-client-current.pem"
    assert (found["kubelet.conf"]["subject"], found["kubelet.conf"]["issuer"]) == (
        "O=example, CN=system:node:a",
        "CN=kubernetes",
    )
    assert (found["kubelet.conf"]["days"], found["kubelet.conf"]["authority"]) == (200, False)
    assert found["kubelet.crt"]["sans"] == ["kubernetes", "192.0.2.1", "fd00::1"]
    assert all(one["kubeadm"] == "" for one in found.values())


def test_a_control_plane_has_those_of_kubeadm_too(
    tmp_path: Path, worker: Authority, put: Callable[[str, str], None]
) -> None:
    for name in ("pki/apiserver", "pki/etcd/server", "external-etcd/client"):
        write_pair(tmp_path / "etc/kubernetes" / name, worker.sign(name, server=True))
    put("/etc/kubernetes/admin.conf", worker.kubeconfig("admin", 20))
    found = by_name(NodeCertificates(str(tmp_path)).files())
    assert {name: one["kubeadm"] for name, one in found.items() if one["kubeadm"]} == {
        "pki/apiserver.crt": "apiserver",
        "pki/etcd/server.crt": "etcd-server",
        "admin.conf": "admin.conf",
    }
    assert "external-etcd/client.crt" in found
    assert found["admin.conf"]["days"] == 20


def test_one_that_expired_and_one_that_cannot_be_read(
    tmp_path: Path, worker: Authority, put: Callable[[str, str], None]
) -> None:
    put("/etc/kubernetes/pki/apiserver.crt", "not a certificate")
    put("/etc/kubernetes/admin.conf", "users: []\n")
    put("/etc/kubernetes/scheduler.conf", worker.kubeconfig("scheduler", 10))
    later = NOW.replace(tzinfo=datetime.UTC) + datetime.timedelta(days=12)
    found = by_name(NodeCertificates(str(tmp_path), later).files())
    assert "No certificate in /etc/kubernetes/pki/apiserver.crt" in found["pki/apiserver.crt"]["error"]
    assert "days" not in found["pki/apiserver.crt"]
    assert "No certificate in /etc/kubernetes/admin.conf" in found["admin.conf"]["error"]
    assert found["scheduler.conf"]["days"] == -2


def test_a_machine_without_kubernetes_has_none(tmp_path: Path) -> None:
    assert NodeCertificates(str(tmp_path)).files() == []
    assert Servers(str(tmp_path)).all() == []


def test_servers_are_where_the_manifests_say(
    tmp_path: Path, put: Callable[[str, str], None], recorded: Callable[[str], str]
) -> None:
    put("/etc/kubernetes/manifests/kube-apiserver.yaml", recorded("kube-apiserver.yaml"))
    put("/etc/kubernetes/manifests/etcd.yaml", recorded("etcd.yaml"))
    put("/etc/kubernetes/manifests/kube-scheduler.yaml", "    - --bind-address=192.0.2.7\n    - --secure-port=20259\n")
    put("/etc/kubernetes/manifests/kube-controller-manager.yaml", "    - --bind-address=0.0.0.0\n")
    put("/etc/kubernetes/kubelet.conf", KUBELET_CONF)
    put("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nport: 20250\ntlsCertFile: /etc/own.crt\n")
    assert Servers(str(tmp_path)).all() == [
        Server("kube-apiserver", "127.0.0.1", 6443, "/etc/kubernetes/pki/apiserver.crt"),
        Server("kube-controller-manager", "127.0.0.1", 10257, None),
        Server("kube-scheduler", "192.0.2.7", 20259, None),
        Server("etcd", "127.0.0.1", 2379, "/etc/kubernetes/pki/etcd/server.crt"),
        Server("etcd's peers", "172.29.97.22", 2380, "/etc/kubernetes/pki/etcd/peer.crt"),
        Server("kubelet", "127.0.0.1", 20250, "/etc/own.crt"),
    ]


def test_the_kubelet_shows_what_the_cluster_signed_for_it_where_there_is_such(
    tmp_path: Path, put: Callable[[str, str], None]
) -> None:
    assert Servers(str(tmp_path)).kubelet_file == "/var/lib/kubelet/pki/kubelet.crt"
    put("/var/lib/kubelet/pki/kubelet-server-current.pem", "x")
    assert Servers(str(tmp_path)).kubelet_file == "/var/lib/kubelet/pki/kubelet-server-current.pem"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[int]:
    """The port of a server that shows a certificate to whoever connects."""
    write_pair(tmp_path / "shown", Authority("kubernetes").sign("shown", server=True))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "shown.crt", tmp_path / "shown.key")
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            plain, _address = listener.accept()
            with plain:
                try:
                    context.wrap_socket(plain, server_side=True).close()
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    ending.set()
    socket.create_connection(listener.getsockname()).close()
    thread.join()
    listener.close()


def test_what_a_server_shows_is_held_against_its_file(
    tmp_path: Path, serving: int, monkeypatch: pytest.MonkeyPatch, put: Callable[[str, str], None]
) -> None:
    put("/other.crt", Authority("kubernetes").sign("other", server=True)[0])
    node = NodeCertificates(str(tmp_path))
    places = [("same", "/shown.crt"), ("other", "/other.crt"), ("own", None), ("lost", "/lost.crt")]
    servers = [Server(name, "127.0.0.1", serving, path) for name, path in places]
    monkeypatch.setattr(node.servers, "all", lambda: [*servers, Server("dead", "127.0.0.1", 1, "/shown.crt")])
    found = by_name(node.served())
    assert {name: one["current"] for name, one in found.items()} == {
        "same": True,
        "other": False,
        "own": None,
        "lost": None,
        "dead": None,
    }
    assert found["other"]["subject"] == "O=example, CN=shown"
    assert found["dead"]["error"].startswith("127.0.0.1:1: ")
    assert "No certificate in /lost.crt" in found["lost"]["error"]


def test_a_server_that_shows_nothing_readable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def getpeercert(self, binary_form: bool) -> None:
            assert binary_form

    monkeypatch.setattr(_certificates_state.socket, "create_connection", lambda *_, **__: Silent())
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", lambda *_: Silent())
    with pytest.raises(KubesteadError, match="not a readable"):
        _certificates_state.shown_certificate("127.0.0.1", 1)


def test_serial_fingerprint_and_usage(worker: Authority) -> None:
    server, client = (certificates(worker.sign("a", server=serves)[0], "a")[0] for serves in (True, False))
    assert (server.serves, client.serves) == (True, False)
    assert server.fingerprint != client.fingerprint
    assert len(server.fingerprint) == 64
    assert int(server.serial, 16) > 0
