"""A server of objects for the client to write to, without a network."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ...integration.failures.connection import Answer, NoAnswerError


class Server:
    """Keeps what is created, and lists it in pages of two.

    :ivar stored: the numbers that it has.
    :ivar silent: numbers that are stored at the first attempt without an answer.
    :ivar refused: how many attempts at each number get an error.
    :ivar forgetful: numbers that are acknowledged and not stored.
    """

    def __init__(self) -> None:
        self.stored: dict[int, dict[str, Any]] = {}
        self.silent: set[int] = set()
        self.refused: dict[int, int] = {}
        self.forgetful: set[int] = set()
        self.namespaces: list[str] = []
        self.lock = threading.Lock()

    def connect(self, _seconds: float) -> Scripted:
        return Scripted(self)

    def create(self, body: Mapping[str, Any]) -> Answer:
        number = int(body["data"]["number"])
        if self.refused.get(number, 0):
            self.refused[number] -= 1
            return Answer(503, b"")
        if number in self.stored:
            return Answer(409, b"")
        if number in self.forgetful:
            return Answer(201, b"")
        self.stored[number] = dict(body)
        if number in self.silent:
            raise NoAnswerError("TimeoutError")
        return Answer(201, b"")

    def list(self, query: Mapping[str, list[str]]) -> Answer:
        first = int(query.get("continue", ["0"])[0])
        items = [self.stored[number] for number in sorted(self.stored)]
        more = str(first + 2) if first + 2 < len(items) else ""
        page = {"items": [*items[first : first + 2], {"data": {"ca.crt": "…"}}], "metadata": {"continue": more}}
        return Answer(200, json.dumps(page).encode())


class Scripted:
    """A connection to the server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        parts = urlsplit(path)
        with self.server.lock:
            if method == "GET":
                return self.server.list(parse_qs(parts.query))
            if body and parts.path.endswith("/configmaps"):
                return self.server.create(body)
            self.server.namespaces.append(f"{method} {parts.path}")
            return Answer(201 if method == "POST" else 200, b"")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def server() -> Server:
    return Server()
