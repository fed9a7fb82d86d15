"""Requests with a limit, against a server on loopback."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator

import pytest
import yaml

from ...integration.failures.connection import Connection, NoAnswerError, insist, read_kubeconfig


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_is_silent_gives_no_answer(silent: int) -> None:
    connection = Connection("127.0.0.1", silent, ssl.create_default_context(), seconds=0.2)
    with pytest.raises(NoAnswerError, match="TimeoutError"):
        connection.ask("GET", "/readyz")
    assert connection.sock is None


def test_a_request_is_repeated_for_a_while_only(silent: int) -> None:
    context = ssl.create_default_context()
    with pytest.raises(NoAnswerError, match="GET /readyz: TimeoutError"):
        insist(lambda: Connection("127.0.0.1", silent, context, 0.1), "GET", "/readyz", seconds=0.3)


def test_a_port_where_nobody_listens_is_told_from_a_server_that_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NoAnswerError, match="ConnectionRefusedError"):
        Connection("127.0.0.1", port, ssl.create_default_context()).ask("GET", "/readyz")


def test_the_kubeconfig_names_the_server_and_its_secrets_stay_out_of_messages() -> None:
    authority, certificate, key = (base64.b64encode(text.encode()).decode() for text in ("CA", "certificate", "key"))
    text = yaml.safe_dump(
        {
            "clusters": [{"cluster": {"server": "https://192.0.2.10:8443", "certificate-authority-data": authority}}],
            "users": [{"user": {"client-certificate-data": certificate, "client-key-data": key}}],
        }
    )
    url, credentials = read_kubeconfig(text)
    assert (credentials.authority, credentials.certificate, credentials.key) == ("CA", "certificate", "key")
    assert "key" not in repr(credentials)
    connection = Connection.to(url, ssl.create_default_context())
    assert (connection.host, connection.port) == ("192.0.2.10", 8443)
