# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of an etcd cluster, spoken to through the JSON gateway on etcd's client port."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import typing as t
import urllib.parse

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._tls import trusting

PKI = "/etc/kubernetes/pki/etcd"
CLIENT_PORT = 2379
_INITIAL_CLUSTER = re.compile(r"--initial-cluster=(\S+)")


def host_of(url: str) -> str:
    """The host of a URL, an IPv6 address without its brackets."""
    return urllib.parse.urlsplit(url).hostname or ""


def hosts_of_manifest(manifest: str) -> list[str]:
    """The hosts of all members that kubeadm wrote into etcd's manifest."""
    match = _INITIAL_CLUSTER.search(manifest)
    pairs = match.group(1).split(",") if match else []
    return [host for host in (host_of(pair.partition("=")[2]) for pair in pairs) if host]


class Member(t.NamedTuple):
    """A member of the cluster; name is empty until it has started for the first time."""

    id: str
    name: str
    hosts: t.Tuple[str, ...]
    learner: bool


def parse_members(answer: t.Mapping[str, t.Any]) -> list[Member]:
    """The members in the gateway's answer."""
    return [
        Member(
            str(member["ID"]),
            member.get("name", ""),
            tuple(host_of(url) for url in member.get("peerURLs", [])),
            bool(member.get("isLearner")),
        )
        for member in answer.get("members", [])
    ]


class Etcd:
    """An etcd cluster, through the first of its members that answers, with the certificates that kubeadm made."""

    def __init__(self, hosts: t.Sequence[str], pki: str = PKI, timeout: float = 10) -> None:
        self.hosts = list(hosts)
        self.port: t.Optional[int] = CLIENT_PORT
        self.files = (f"{pki}/ca.crt", f"{pki}/healthcheck-client.crt", f"{pki}/healthcheck-client.key")
        self.timeout = timeout
        self.answered = False

    def members(self) -> list[Member]:
        """All members; needs a cluster that has its majority."""
        return parse_members(self._ask("/v3/cluster/member/list", {}))

    def status(self) -> dict[str, t.Any]:
        """What the first member that answers says of itself: its version, who leads, and what it complains of."""
        return self._ask("/v3/maintenance/status", {})

    def remove(self, member: Member) -> None:
        """Take a member out of the cluster."""
        self._ask("/v3/cluster/member/remove", {"ID": member.id})

    def alarms(self) -> list[tuple[str, str]]:
        """The alarms that are raised, each with the member that raised it."""
        raised = self._ask("/v3/maintenance/alarm", {"action": "GET"}).get("alarms") or []
        return [(str(alarm["memberID"]), str(alarm["alarm"])) for alarm in raised]

    def disarm(self, alarm: str) -> None:
        """Take an alarm back, of each member that raised it."""
        for member, raised in self.alarms():
            if raised == alarm:
                self._ask("/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": member, "alarm": alarm})

    def hash_of_keys(self, revision: str) -> tuple[str, str]:
        """The hash of all that the first member that answers holds at a revision, and since which one it counts."""
        answer = self._ask("/v3/maintenance/hashkv", {"revision": revision})
        return str(answer.get("hash", 0)), str(answer.get("compact_revision", "0"))

    def defragment(self) -> None:
        """Give the space that the first member's database does not use back to the disk. Meanwhile it answers nobody."""
        self._ask("/v3/maintenance/defragment", {})

    def snapshot(self) -> t.Iterator[bytes]:
        """The database of the first member, piece by piece, with its hash as the last piece."""
        host = self.hosts[0]
        connection = http.client.HTTPSConnection(host, self.port, timeout=self.timeout, context=self._tls())
        try:
            connection.request("POST", "/v3/maintenance/snapshot", "{}", {"Content-Type": "application/json"})
            response = connection.getresponse()
            for line in iter(response.readline, b""):
                message = json.loads(line)
                if response.status != 200 or "result" not in message:
                    raise ValueError(f"it says {line.decode('utf-8', 'replace').strip()[:300]}")
                yield base64.b64decode(message["result"].get("blob", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KubesteadError(f"The member of etcd at {host} did not give all of its data: {error}.") from error
        finally:
            connection.close()

    def _ask(self, path: str, question: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        failures: list[str] = []
        for host in self.hosts:
            answer = self._try(host, path, question, failures)
            if answer is not None:
                return answer
        raise KubesteadError("No member of etcd answers: " + ("; ".join(failures) or "none is known") + ".")

    def _try(self, host: str, path: str, question: t.Any, failures: list[str]) -> t.Optional[dict[str, t.Any]]:
        connection = http.client.HTTPSConnection(host, self.port, timeout=self.timeout, context=self._tls())
        try:
            connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
            response = connection.getresponse()
            self.answered = True
            text = response.read().decode("utf-8", "replace")
            if response.status == 200:
                return t.cast("dict[str, t.Any]", json.loads(text))
            failures.append(f"{host} says {text.strip()[:300]} (status {response.status})")
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{host}: {error}")
        finally:
            connection.close()
        return None

    def _tls(self) -> ssl.SSLContext:
        authority, certificate, key = self.files
        try:
            context = trusting(authority)
            context.load_cert_chain(certificate, key)
        except OSError as error:
            # Python does not say which of them it could not read.
            raise KubesteadError(
                f"etcd cannot be asked with {authority}, {certificate} and its key: {error}."
            ) from error
        return context


class ExternalEtcd(Etcd):
    """An etcd cluster of the user's own, as `etcd.external` of kubeadm's configuration describes it."""

    def __init__(self, external: t.Mapping[str, t.Any], timeout: float = 10) -> None:
        super().__init__([urllib.parse.urlsplit(url).netloc for url in external["endpoints"]], timeout=timeout)
        self.port = None  # it stands with each host
        self.files = (external["caFile"], external["certFile"], external["keyFile"])

    def holds(self, prefix: str) -> t.Optional[bool]:
        """Whether there are keys below a prefix. None where etcd answers, but not to this: its JSON gateway can be off."""
        first = prefix.rstrip("/") + "/"
        # "0" is the character behind "/".
        texts = {"key": first, "range_end": first[:-1] + "0"}
        question = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        try:
            return bool(self._ask("/v3/kv/range", {**question, "limit": 1, "keys_only": True}).get("kvs"))
        except KubesteadError:
            if self.answered:
                return None
            raise
