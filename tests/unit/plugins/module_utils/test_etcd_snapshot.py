"""Snapshots, from what a real etcd 3.6.8 sent: 299 pods, one deleted before, and an authority that was replaced."""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import io
import json
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd, _etcd_snapshot
from ansible_collections.kubestead.cluster.plugins.module_utils._bolt import Bolt, BoltError
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import Snapshots, about, read
from ansible_collections.kubestead.cluster.plugins.modules import etcd_snapshot

RECORDED = Path(__file__).parent / "recorded"
ROOT = Path(__file__).parents[4]
PACKAGE = "ansible_collections.kubestead.cluster.plugins.module_utils"
# `etcdutl snapshot status` says revision 304 and 300 keys; `openssl x509 -fingerprint -sha256` says the same of cluster_ca.pem.
REVISION, KEYS = 304, 300
AUTHORITY = "34748f4b98c90ce155dd1a51c8cc9f66ddb87d890445bd514f3bf1be3569be42"
MOMENT = datetime.datetime(2026, 11, 21, 12, 30, tzinfo=datetime.UTC)


def blobs(name: str = "etcd_snapshot") -> list[bytes]:
    lines = gzip.decompress((RECORDED / f"{name}.jsonl.gz").read_bytes()).splitlines()
    return [base64.b64decode(json.loads(line)["result"]["blob"]) for line in lines]


def encrypted(number: int = 42, key: str = "key1") -> bytes:
    """The recorded snapshot with one of its pods as the API server would have encrypted it."""
    data = b"".join(blobs())[:-32]
    name = b"\x0a\x1d/registry/pods/default/web-%d" % number
    start = data.index(name)
    size = len(name) + 6 + 2 + len("a small object")
    numbers = data[start + len(name) : start + len(name) + 6]
    value = f"k8s:enc:secretbox:v1:{key}:".encode().ljust(size - 16, b"\0")
    entry = b"\x0a\x06/r/web" + numbers + b"\x2a" + bytes([len(value)]) + value
    assert len(entry) == size
    data = data[:start] + entry + data[start + size :]
    return data + hashlib.sha256(data).digest()


class Scripted(Etcd):
    """A member that sends what was recorded, or something else."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(["localhost"])
        self.pieces = pieces

    def _try(self, host: str, path: str, question: Any, failures: list[str]) -> dict[str, Any]:
        name = {"/v3/maintenance/status": "etcd_status", "/v3/cluster/member/list": "etcd_members"}[path]
        return dict(json.loads((RECORDED / f"{name}.json").read_text()))

    def snapshot(self) -> Iterator[bytes]:
        yield from self.pieces


@pytest.fixture
def snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Snapshots]:
    monkeypatch.setattr(_etcd_snapshot, "AUTHORITY", str(tmp_path / "none"))
    monkeypatch.setattr(_etcd_snapshot, "API_SERVER_MANIFEST", str(RECORDED / "kube-apiserver.yaml"))

    def make(pieces: list[bytes] | None = None, keep: int = 5) -> Snapshots:
        return Snapshots(Scripted(blobs() if pieces is None else pieces), str(tmp_path / "snapshots"), keep)

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etcd.db"
    path.write_bytes(b"".join(blobs()))
    return path


class Connection:
    """An HTTPS connection to a member that answers so."""

    def __init__(self, status: int, text: bytes) -> None:
        self.status = status
        self.text = io.BytesIO(text)
        self.readline = self.text.readline
        self.closed = False

    def request(self, method: str, path: str, body: str, _headers: dict[str, str]) -> None:
        assert (method, path, body) == ("POST", "/v3/maintenance/snapshot", "{}")

    def getresponse(self) -> Connection:
        return self

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bytes], Connection]:
    def answer(status: int, text: bytes) -> Connection:
        connection = Connection(status, text)
        monkeypatch.setattr(Etcd, "_tls", lambda _self: None)
        monkeypatch.setattr(_etcd.http.client, "HTTPSConnection", lambda *_args, **_options: connection)
        return connection

    return answer


def test_the_gateway_sends_it_in_pieces(member: Callable[[int, bytes], Connection]) -> None:
    connection = member(200, gzip.decompress((RECORDED / "etcd_snapshot.jsonl.gz").read_bytes()))
    assert list(Etcd(["localhost"]).snapshot()) == blobs()
    assert connection.closed


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (200, b'{"error":{"code":14,"message":"etcdserver: no leader"}}', "no leader"),
        (401, b'{"error":"unauthenticated"}', "unauthenticated"),
        (502, b"<html>", "did not give all"),
    ],
)
def test_a_member_that_refuses_is_quoted(
    member: Callable[[int, bytes], Connection], status: int, text: bytes, said: str
) -> None:
    member(status, text)
    with pytest.raises(KubesteadError, match=said):
        list(Etcd(["localhost"]).snapshot())


def test_a_snapshot_tells_what_it_holds_and_whose_it_is(file: Path) -> None:
    content = read(str(file))
    assert (content.revision, content.total_keys, content.authorities) == (REVISION, KEYS, (AUTHORITY,))
    assert content.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert content.size == file.stat().st_size


def test_after_a_restore_an_entry_without_a_name_raises_the_revision(file: Path) -> None:
    # From the one of three members that was left; two keys were written after the restore.
    file.write_bytes(b"".join(blobs("etcd_snapshot_restored")))
    content = read(str(file))
    assert (content.revision, content.total_keys) == (1795266198141, KEYS + 2)
    assert content.authorities == (AUTHORITY,)


def test_the_keys_that_values_are_encrypted_with_are_told(file: Path) -> None:
    assert read(str(file)).encryption_keys == ()
    file.write_bytes(encrypted(key="key7"))
    assert read(str(file)).encryption_keys == ("key7",)


def test_what_only_an_older_revision_was_encrypted_with_is_not_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(encrypted())
    # All entries as revisions of one key: the last of them is not encrypted.
    name = _etcd_snapshot._name
    monkeypatch.setattr(_etcd_snapshot, "_name", lambda *given: (b"/one", name(*given)[1]))
    assert read(str(file)).encryption_keys == ()


def test_a_value_that_only_speaks_of_encryption_is_not_encrypted(file: Path) -> None:
    data = encrypted()[:-32].replace(b"k8s:enc:secretbox", b" k8s:enc:secretbo")
    file.write_bytes(data + hashlib.sha256(data).digest())
    assert read(str(file)).encryption_keys == ()


def test_one_that_was_taken_is_roots_alone_and_described_beside(snapshots: Callable[..., Snapshots]) -> None:
    taken = snapshots().take(MOMENT)
    path = Path(taken["file"])
    assert path.name == "etcd-2026-11-21T12-30-00Z.db"
    assert (taken["revision"], taken["total_keys"], taken["removed"]) == (REVISION, KEYS, [])
    assert taken["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    beside = Path(about(str(path)))
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path, beside)} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    told = json.loads(beside.read_text())
    assert told["authorities"] == [AUTHORITY]
    assert (told["etcd_version"], told["sha256"], told["members"]) == (
        "3.6.8",
        taken["sha256"],
        ["control-plane-1", "worker-2"],
    )
    assert told["kubernetes_version"].count(".") == 2


def test_the_newest_are_kept(snapshots: Callable[..., Snapshots]) -> None:
    moments = [MOMENT + datetime.timedelta(hours=hours) for hours in range(4)]
    taken = [snapshots(keep=2).take(moment) for moment in moments]
    folder = Path(taken[0]["file"]).parent
    assert sorted(folder.glob("etcd-*")) == sorted(
        Path(name) for one in taken[2:] for name in (one["file"], about(one["file"]))
    )
    assert taken[3]["removed"] == [taken[1]["file"]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda pieces: pieces[:-1], "no whole snapshot"),
        (lambda pieces: [*pieces[:1], *pieces[2:]], "or is damaged"),
        (lambda pieces: [pieces[0][:20000] + b"\0" + pieces[0][20001:], *pieces[1:]], "or is damaged"),
        (lambda pieces: [], "no whole snapshot"),
        (lambda pieces: [b"x" * 512, hashlib.sha256(b"x" * 512).digest()], "does not begin as a database"),
    ],
)
def test_what_arrives_damaged_never_gets_its_name(
    snapshots: Callable[..., Snapshots], spoil: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    good = snapshots().take(MOMENT)
    later = MOMENT + datetime.timedelta(hours=1)
    with pytest.raises(KubesteadError, match=said):
        snapshots(spoil(blobs()), keep=1).take(later)
    folder = Path(good["file"]).parent
    assert sorted(path.name for path in folder.glob("etcd-*")) == [
        "etcd-2026-11-21T12-30-00Z.db",
        "etcd-2026-11-21T12-30-00Z.json",
    ]


def test_what_a_killed_run_has_left_is_removed(snapshots: Callable[..., Snapshots]) -> None:
    folder = Path(snapshots().folder)
    folder.mkdir()
    left = folder / "etcd-2026-11-20T00-00-00Z.db.part"
    left.write_bytes(b"half")
    snapshots().take(MOMENT)
    assert not left.exists()


def test_a_full_disk_is_told_of_before_anything_is_written(
    snapshots: Callable[..., Snapshots], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_etcd_snapshot.os, "statvfs", lambda _path: SimpleNamespace(f_bavail=1000, f_frsize=4096))
    one = snapshots()
    with pytest.raises(KubesteadError, match="only 4 MiB of free space"):
        one.take(MOMENT)
    assert not list(Path(one.folder).glob("etcd-*"))


def test_check_mode_writes_nothing(snapshots: Callable[..., Snapshots]) -> None:
    one = snapshots()
    found = etcd_snapshot.snapshot(one, check_mode=True)
    assert (found["changed"], found["revision"], found["size"]) == (True, REVISION, 61440)
    assert not Path(one.folder).exists()


def test_nothing_kept_is_refused(snapshots: Callable[..., Snapshots]) -> None:
    with pytest.raises(KubesteadError, match="keep is 0"):
        etcd_snapshot.snapshot(snapshots(keep=0), check_mode=False)


def test_where_etcd_is_not_ours_or_not_here(tmp_path: Path) -> None:
    with pytest.raises(KubesteadError, match="etcd of your own"):
        etcd_snapshot.check_node(["https://192.0.2.7:2379"], str(tmp_path))
    with pytest.raises(KubesteadError, match="no member of etcd"):
        etcd_snapshot.check_node([], str(tmp_path))
    (tmp_path / "healthcheck-client.key").touch()
    etcd_snapshot.check_node([], str(tmp_path))


def test_the_second_first_page_serves_where_the_first_is_damaged(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[20:24] = b"\0\0\0\0"  # the first page's version
    assert b"key" in Bolt(bytes(data)).buckets()


def test_pages_that_lead_in_a_circle_or_beyond_the_end_are_told() -> None:
    data = bytearray(b"".join(blobs()))
    bolt = Bolt(bytes(data))
    root = bolt._root * bolt.page_size
    struct.pack_into("<QHHI", data, root, bolt._root, 1, 1, 0)
    struct.pack_into("<IIQ", data, root + 16, 0, 0, bolt._root)
    with pytest.raises(BoltError, match="circle"):
        Bolt(bytes(data)).buckets()
    struct.pack_into("<IIQ", data, root + 16, 0, 0, 1 << 40)
    with pytest.raises(BoltError, match="beyond its end"):
        Bolt(bytes(data)).buckets()


def test_the_files_that_the_timer_gets_run_by_themselves(tmp_path: Path) -> None:
    """A node has neither the collection nor anything of PyPI: only what the role etcd puts there."""
    names = [
        Path(item["path"]).name
        for item in yaml.safe_load((ROOT / "roles/etcd/vars/main.yml").read_text())["__etcd_code"]
    ]
    package = tmp_path / PACKAGE.replace(".", "/")
    package.mkdir(parents=True)
    for name in names:
        shutil.copy(ROOT / "plugins/module_utils" / name, package)
    command = [sys.executable, "-S", "-m", f"{PACKAGE}._etcd_snapshot", str(tmp_path / "snapshots"), "2"]
    run = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "/etc/kubernetes/pki/etcd" in run.stderr
    assert "Traceback" not in run.stderr
