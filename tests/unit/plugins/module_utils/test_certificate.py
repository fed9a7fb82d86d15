"""Pins of certificate authorities, held to what openssl computes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import (
    Certificate,
    authorities_of_server,
    authority_of_cluster_info,
    certificates,
    public_key_hashes,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

Recorded = Callable[[str], str]


def openssl_pins(recorded: Recorded) -> dict[str, str]:
    return {name: f"sha256:{pin}" for name, pin in (line.split() for line in recorded("openssl_pins.txt").splitlines())}


@pytest.mark.parametrize("name", ["ca_rsa", "ca_ec", "cluster_ca"])
def test_a_pin_is_what_openssl_computes(recorded: Recorded, name: str) -> None:
    assert public_key_hashes(recorded(f"{name}.pem"), name) == [openssl_pins(recorded)[name]]


def test_several_authorities_keep_their_order_and_come_once(recorded: Recorded) -> None:
    bundle = recorded("ca_ec.pem") + "a line of prose\n" + recorded("ca_rsa.pem") + recorded("ca_ec.pem")
    pins = openssl_pins(recorded)
    assert public_key_hashes(bundle, "bundle") == [pins["ca_ec"], pins["ca_rsa"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ca_rsa", "kubernetes"),
        ("ca_ec", "second authority"),
        ("cluster_ca", "kubernetes"),
        ("kubelet_client", "system:node:control-plane-1"),
    ],
)
def test_common_names(recorded: Recorded, name: str, expected: str) -> None:
    assert certificates(recorded(f"{name}.pem"), name)[0].common_name == expected


@pytest.mark.parametrize(
    ("name", "expected"),  # from `openssl x509 -noout -enddate`
    [("ca_ec", "2036-11-18T06:36:38Z"), ("kubelet_client", "2027-11-21T06:23:45Z")],
)
def test_expiries(recorded: Recorded, name: str, expected: str) -> None:
    assert certificates(recorded(f"{name}.pem"), name)[0].expires == expected


def test_a_text_without_certificate_is_named(recorded: Recorded) -> None:
    with pytest.raises(KubesteadError, match=r"No certificate in ca\.crt"):
        certificates("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n", "ca.crt")


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_truncated_certificate_is_damaged_and_numbered(recorded: Recorded, cut: int) -> None:
    der = certificates(recorded("ca_rsa.pem"), "x")[0].der[:-cut]
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    with pytest.raises(KubesteadError, match=r"Certificate 2 in bundle is damaged"):
        certificates(recorded("ca_ec.pem") + pem, "bundle")


def test_garbage_is_no_certificate() -> None:
    for der in (b"", b"\x30", b"\x30\x89" + b"\xff" * 9, b"\x02\x01\x00"):
        with pytest.raises(KubesteadError):
            Certificate(der)


def test_the_authority_of_cluster_info_is_the_cluster_s_own(recorded: Recorded) -> None:
    pem = authority_of_cluster_info(recorded("cluster_info.json"), "172.29.97.11:6443")
    assert public_key_hashes(pem, "answer") == [openssl_pins(recorded)["cluster_ca"]]


@pytest.mark.parametrize(
    "answer", ["<html>", "{}", json.dumps({"data": None}), json.dumps({"data": {"kubeconfig": "kind: Config"}})]
)
def test_another_answer_than_cluster_info_is_refused(answer: str) -> None:
    with pytest.raises(KubesteadError, match=r"host:6443"):
        authority_of_cluster_info(answer, "host:6443")


@pytest.mark.parametrize("server", ["host", "host:port", ":6443", "https://host"])
def test_an_address_needs_host_and_port(server: str) -> None:
    with pytest.raises(KubesteadError, match=r"Write host and port"):
        authorities_of_server(server, 1)
