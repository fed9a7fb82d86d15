"""A kubelet's request is approved when it asks for just what the node is, and each kubelet is asked whether it serves the result."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _kubelet_certificates as subject
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._der import element, extensions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NODE = subject.Node("worker-1", frozenset(["192.0.2.21"]))
DAY = datetime.timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())


def name(common: str, organization: str = "system:nodes") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def general_names(*names: str) -> list[x509.GeneralName]:
    return [
        x509.UniformResourceIdentifier(one)
        if "://" in one
        else x509.IPAddress(ipaddress.ip_address(one))
        if one[0].isdigit() or ":" in one
        else x509.DNSName(one)
        for one in names
    ]


def pem(*names: str, who: x509.Name | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(who or name("system:node:worker-1"))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(general_names(*names)), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def request(text: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "csr-1"},
        "spec": {
            "request": base64.b64encode(text.encode()).decode(),
            "signerName": subject.SIGNER,
            "username": "system:node:worker-1",
            "groups": ["system:nodes", "system:authenticated"],
            "usages": ["digital signature", "server auth"],
            **spec,
        },
        "status": {},
    }


GOOD = pem("worker-1", "192.0.2.21")


def test_what_asks_for_the_node_itself_is_good() -> None:
    assert subject.objections(request(GOOD), NODE) == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request(pem("worker-1", "192.0.2.99")), "it names the address 192.0.2.99"),
        (request(pem("kubernetes.default", "192.0.2.21")), "it names the host kubernetes.default"),
        (request(pem("spiffe://a/b", "192.0.2.21")), "neither host names nor addresses"),
        (request(pem()), "it names no host and no address"),
        (request(pem("192.0.2.21", who=name("system:node:worker-2"))), "its subject is system:node:worker-2"),
        (request(pem("192.0.2.21", who=name("system:node:worker-1", "system:masters"))), "system:masters"),
        (request(GOOD, groups=["system:authenticated"]), "not of the group system:nodes"),
        (request(GOOD, usages=["client auth", "server auth"]), "the usages client auth, server auth"),
        (request(GOOD, usages=["digital signature"]), "the usages digital signature"),
    ],
)
def test_what_asks_for_more_is_not(asked: dict[str, Any], why: str) -> None:
    assert why in "; ".join(subject.objections(asked, NODE))


def test_an_address_may_be_written_in_another_way() -> None:
    node = subject.node_from("worker-1", ["192.0.2.21", "2001:DB8:0::21"])
    assert subject.objections(request(pem("192.0.2.21", "2001:db8::21")), node) == []


@pytest.mark.parametrize(("given", "why"), [("worker-1.example", "not appear to be"), ([], "has no address")])
def test_a_node_without_an_address_is_refused(given: Any, why: str) -> None:
    with pytest.raises(KubesteadError, match=why):
        subject.node_from("worker-1", given)


@pytest.mark.parametrize("text", ["", GOOD.replace("MII", "AAA", 1), GOOD[:60] + GOOD[-50:]])
def test_a_damaged_request_is_an_error(text: str) -> None:
    with pytest.raises(KubesteadError, match="certificate request"):
        subject.objections(request(text), NODE)


def test_names_that_stand_twice_are_an_error() -> None:
    asked = x509.load_pem_x509_csr(GOOD.encode()).public_bytes(serialization.Encoding.DER)
    names = x509.SubjectAlternativeName(general_names("worker-1", "192.0.2.21")).public_bytes()
    extension = sequence(b"\x06\x03\x55\x1d\x11" + wrapped(0x04, names))
    assert extension in asked
    once, twice = sequence(extension), sequence(extension + extension)
    with pytest.raises(ValueError, match="stands twice"):
        extensions(element(twice, 0))
    assert list(extensions(element(once, 0)).values()) == [names]


def wrapped(tag: int, content: bytes) -> bytes:
    """A short DER element."""
    return bytes([tag, len(content)]) + content


def sequence(content: bytes) -> bytes:
    return wrapped(0x30, content)


class Authority:
    """A certificate authority, and servers with what it has signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name("authority")
        own = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.path = folder / "ca.crt"
        self.path.write_bytes(own.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, who: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, who, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - DAY).not_valid_after(now + DAY)

    def sign(self, address: str) -> Path:
        """A file with key and certificate of a server at this address."""
        names = x509.SubjectAlternativeName(general_names(address))
        signed = self._builder(name("server"), KEY).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        secret = KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / "server.pem"
        path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def serving(certificate: Path | None) -> Iterator[int]:
    """A port of the loopback interface where one connection is answered, without a certificate by closing it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate:
        context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _address = server.accept()
            with connection:
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(10)


HERE = subject.Node("here", frozenset(["127.0.0.1"]))


@pytest.mark.parametrize(
    ("address", "complaint"), [("127.0.0.1", None), ("192.0.2.1", "its certificate is not one of the cluster's")]
)
def test_a_served_certificate_must_be_for_the_node(authority: Authority, address: str, complaint: str | None) -> None:
    with serving(authority.sign(address)) as port:
        said = subject.served(HERE, port, str(authority.path))
    assert said is None if complaint is None else complaint in str(said)


def test_a_served_certificate_must_be_of_the_clusters_authority(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with serving(Authority(other).sign("127.0.0.1")) as port:
        assert "is not one of the cluster's" in str(subject.served(HERE, port, str(authority.path)))


def test_a_kubelet_without_a_certificate_is_told_from_one_that_is_down(authority: Authority) -> None:
    with serving(None) as port:
        assert subject.served(HERE, port, str(authority.path)) == "it has no certificate yet"
    assert "does not answer" in str(subject.served(HERE, port, str(authority.path)))


class Api:
    """kubectl on a cluster with one request of each given text."""

    def __init__(self, tmp_path: Path, *requests: dict[str, Any], check_mode: bool = False) -> None:
        kubeconfig = tmp_path / "admin.conf"
        kubeconfig.touch()
        self.check_mode = check_mode
        self.requests = list(requests)
        self.approved: list[str] = []
        self.params = {
            "nodes": {"worker-1": "192.0.2.21"},
            "port": 10250,
            "authority": "ca.crt",
            "timeout": 1,
            "kubeconfig": str(kubeconfig),
        }

    def get_bin_path(self, tool: str, **_options: Any) -> str:
        return tool

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        if "approve" in command:
            self.approved += [one["metadata"]["name"] for one in self.requests if one["metadata"]["name"] in command]
            for one in self.requests:
                one["status"] = {"conditions": [{"type": "Approved"}]}
            return 0, "", ""
        return 0, json.dumps({"kind": "List", "items": self.requests}), ""


Serve = Callable[[Callable[[], Any]], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def set_answer(answer: Callable[[], str | None]) -> None:
        monkeypatch.setattr(subject, "served", lambda *_: answer())

    return set_answer


def test_a_good_request_is_approved_and_its_result_waited_for(tmp_path: Path, serve: Serve) -> None:
    api = Api(tmp_path, request(GOOD))
    serve(lambda: None if api.approved else "it has no certificate yet")
    result = subject.KubeletCertificates(api).perform()  # type: ignore[arg-type]
    assert api.approved == result["approved"] == ["csr-1"]
    assert result["changed"] is True


def test_nothing_changes_where_all_is_well(tmp_path: Path, serve: Serve) -> None:
    decided = {**request(GOOD), "status": {"conditions": [{"type": "Approved"}]}}
    api = Api(tmp_path, decided)
    serve(lambda: None)
    assert subject.KubeletCertificates(api).perform()["changed"] is False  # type: ignore[arg-type]
    assert api.approved == []


def test_requests_of_other_nodes_are_left_alone(tmp_path: Path, serve: Serve) -> None:
    api = Api(tmp_path, request(GOOD, username="system:node:worker-9"))
    serve(lambda: None)
    assert subject.KubeletCertificates(api).perform()["approved"] == []  # type: ignore[arg-type]


def test_a_bad_request_is_an_error_that_says_what_speaks_against_it(tmp_path: Path, serve: Serve) -> None:
    api = Api(tmp_path, request(pem("worker-1", "192.0.2.99")))
    serve(lambda: "it has no certificate yet")
    with pytest.raises(KubesteadError, match=r"worker-1: it names the address 192\.0\.2\.99.*cluster_node_address"):
        subject.KubeletCertificates(api).perform()  # type: ignore[arg-type]
    assert api.approved == []


def test_a_kubelet_that_never_serves_is_named(tmp_path: Path, serve: Serve) -> None:
    serve(lambda: "port 10250 of 192.0.2.21 does not answer (refused)")
    with pytest.raises(KubesteadError, match=r"1 of 1 kubelets .*worker-1: port 10250 .*`journalctl -u kubelet`"):
        subject.KubeletCertificates(Api(tmp_path)).perform()  # type: ignore[arg-type]


def test_check_mode_approves_nothing_and_waits_for_nothing(tmp_path: Path, serve: Serve) -> None:
    api = Api(tmp_path, request(GOOD), check_mode=True)
    serve(lambda: "it has no certificate yet")
    result = subject.KubeletCertificates(api).perform()  # type: ignore[arg-type]
    assert (result["approved"], api.approved) == (["csr-1"], [])
