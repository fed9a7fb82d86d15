"""HTTPS to API servers and to members of etcd, with the cluster's own certificates and a limit on every attempt."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

ATTEMPT = 1.0
"""Seconds that one attempt may take."""


class NoAnswerError(Exception):
    """An attempt that brought no answer. The message names the kind of failure only, so that failures can be counted by it."""


@dataclass(frozen=True)
class Credentials:
    """What a client shows, and the authority that it trusts, all in PEM."""

    authority: str = field(repr=False)
    certificate: str = field(repr=False)
    key: str = field(repr=False)

    def context(self) -> ssl.SSLContext:
        """A context that verifies the server's certificate and name."""
        context = ssl.create_default_context(cadata=self.authority)
        # kubeadm's authorities lack an extension that Python 3.13 insists on by default.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # Only files are taken; this one is readable by its owner alone and gone at once.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{self.certificate}\n{self.key}\n")
            file.flush()
            context.load_cert_chain(file.name)
        return context


def read_kubeconfig(text: str) -> tuple[str, Credentials]:
    """The server's URL and the credentials in a kubeconfig that has one of each, as kubeadm writes it."""
    said = yaml.safe_load(text)
    cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
    encoded = (cluster["certificate-authority-data"], user["client-certificate-data"], user["client-key-data"])
    return cluster["server"], Credentials(*(base64.b64decode(data).decode() for data in encoded))


@dataclass(frozen=True)
class Answer:
    """A response: its status and its body."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, where it is an object in JSON."""
        said: dict[str, Any] = json.loads(self.body)
        return said


class Connection(http.client.HTTPConnection):
    """A connection that is opened on demand, kept as long as it works, and dropped at the first failure.

    :param seconds: limit of one attempt, connecting included.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, seconds: float = ATTEMPT) -> None:
        super().__init__(host, port, timeout=seconds)
        self.context = context
        self.seconds = seconds

    @classmethod
    def to(cls, url: str, context: ssl.SSLContext, seconds: float = ATTEMPT) -> Connection:
        """A connection to the host and port of a URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 443, context, seconds)

    def connect(self) -> None:
        """Connect and shake hands, both within the limit."""
        deadline = time.monotonic() + self.seconds
        plain = socket.create_connection((self.host, self.port), timeout=self.seconds)
        try:
            plain.settimeout(_left(deadline))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """One attempt at a request.

        :raises NoAnswerError: there was none within the limit.
        """
        deadline = time.monotonic() + self.seconds
        content = None if body is None else json.dumps(body)
        try:
            if self.sock is None:
                self.connect()
            self.sock.settimeout(_left(deadline))
            self.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            response = self.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # Where the class says nothing, as of a host that cannot be reached, the system's message does.
            reason = error.strerror if type(error) is OSError else type(error).__name__
            raise NoAnswerError(reason) from error


def _left(deadline: float) -> float:
    """Seconds until the deadline; a little above 0 at least, which would mean not to wait at all."""
    return max(deadline - time.monotonic(), 0.01)


def insist(
    connect: Callable[[], Connection],
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    accept: Collection[int] = (200,),
    seconds: float = 20,
) -> Answer:
    """Repeat a request that may be repeated until its status is an accepted one.

    :raises NoAnswerError: there was none for so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with closing(connect()) as connection:
                answer = connection.ask(method, path, body)
            if answer.status in accept:
                return answer
            reason = f"status {answer.status}"
        except NoAnswerError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise NoAnswerError(f"{method} {path}: {reason}")
        time.sleep(0.3)
