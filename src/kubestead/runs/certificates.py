"""What playbooks/certificates.yml found, put together: one row for each certificate, and all that is not as it should be, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Found = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

# What the kubelet shows, whether it made that itself or had it signed.
_SHOWN_BY_KUBELET = ("kubelet.crt", "kubelet-server-current.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """One certificate of one host.

    :ivar days: whole days until it expires; None where it cannot be read.
    :ivar renewed_by: what makes it anew: our command, the kubelet by itself, or somebody's hand.
    """

    host: str
    name: str
    path: str
    subject: str = ""
    issuer: str = ""
    sans: list[str] = field(default_factory=list)
    authority: bool = False
    not_after: str = ""
    days: int | None = None
    renewed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """The certificates of a cluster, and what is amiss with them."""

    certificates: list[CertificateRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is amiss."""
        return not self.problems

    @property
    def first(self) -> CertificateRow | None:
        """The one that expires first."""
        readable = [row for row in self.certificates if row.days is not None]
        return min(readable, key=lambda row: row.not_after, default=None)


def judge(found: Found, silent: Sequence[str], within: int) -> CertificateStatus:
    """Put together what each host told; ``silent`` are those that told nothing, ``within`` the days that are too few."""
    rows = [_row(host, one) for host, told in found.items() for one in told["files"]]
    problems = [
        *(f"{host} gave no answer, so nothing is known of its certificates" for host in silent),
        *_of_hosts(found),
        *(text for host, told in found.items() for text in _of_files(host, told["files"], within)),
        *(text for host, told in found.items() for text in _of_servers(host, told["served"], within)),
    ]
    return CertificateStatus(certificates=rows, problems=problems)


def _of_hosts(found: Found) -> Iterator[str]:
    if not found:
        yield "no host told of a certificate"
    for host, told in found.items():
        if not told["files"]:
            yield f"{host} has no certificates: the cluster is not built on it, or was reset"


def _of_files(host: str, files: Sequence[Mapping[str, Any]], within: int) -> Iterator[str]:
    for one in files:
        if one["error"]:
            yield f"{one['name']} on {host} cannot be read: {one['error']}"
        elif one["days"] < within:
            yield f"{one['name']} on {host} {_when(one)}"


def _of_servers(host: str, served: Sequence[Mapping[str, Any]], within: int) -> Iterator[str]:
    for one in served:
        server = f"{one['name']} on {host}, port {one['port']},"
        if one["error"]:
            yield f"{server} shows no certificate: {one['error']}"
        elif one["current"] is False:
            yield f"{server} shows another certificate than {one['path']} holds, one that {_when(one)}: it was not started anew"
        elif one["current"] is None and one["days"] < within:
            yield f"{server} shows a certificate of its own making that {_when(one)}: a restart makes another"


def _when(one: Mapping[str, Any]) -> str:
    if one["days"] < 0:
        return f"expired on {one['not_after'][:10]}"
    return f"expires in {one['days']} {'day' if one['days'] == 1 else 'days'}"


def _row(host: str, one: Mapping[str, Any]) -> CertificateRow:
    if one["error"]:
        return CertificateRow(host=host, name=one["name"], path=one["path"])
    return CertificateRow(
        host=host,
        name=one["name"],
        path=one["path"],
        subject=one["subject"],
        issuer=one["issuer"],
        sans=one["sans"],
        authority=one["authority"],
        not_after=one["not_after"],
        days=one["days"],
        renewed_by=_renewed_by(one),
    )


def _renewed_by(one: Mapping[str, Any]) -> str:
    if one["kubeadm"] or one["name"] in _SHOWN_BY_KUBELET:
        return "kubestead certs renew"
    return "the kubelet" if one["name"] == "kubelet.conf" else "hand"
