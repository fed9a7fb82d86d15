# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of etcd: taken from a member through its JSON gateway, verified by reading them back, and told apart.

A snapshot holds every Secret of the cluster, so that its files are root's alone.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import glob
import hashlib
import json
import mmap
import os
import re
import sys
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._bolt import Bolt, BoltError
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd

FOLDER = "/var/lib/kubestead/etcd-snapshots"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
API_SERVER_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# What stays free on the disk, which may be etcd's own.
RESERVE = 200 * 1024 * 1024
HASH_SIZE = hashlib.sha256().digest_size
_SECTOR = 512  # the size of a database is a multiple of it, so that the hash behind one is seen
_ROOT_CA = b"/configmaps/kube-system/kube-root-ca.crt"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_IMAGE_VERSION = re.compile(r"^\s*image:\s*\S+:v?(\d[^\s\"']*)", re.MULTILINE)
# Behind an entry's name: three numbers, then the value, which begins with the key's name where the API server encrypted it.
_ENCRYPTED = re.compile(
    rb"(?:[\x10\x18\x20][\x80-\xff]*[\x00-\x7f])*\x2a[\x80-\xff]*[\x00-\x7f]k8s:enc:[a-z]+:v[0-9]+:([^:\s]+):"
)
_CHUNK = 1024 * 1024


class Content(t.NamedTuple):
    """What a snapshot tells of itself: hashes of the cluster's authorities, names of the keys that encrypt its Secrets."""

    size: int
    sha256: str
    revision: int
    total_keys: int
    authorities: t.Tuple[str, ...]
    encryption_keys: t.Tuple[str, ...]


def authority_hashes(text: bytes) -> tuple[str, ...]:
    """The SHA-256 of each certificate in a text."""
    return tuple(
        hashlib.sha256(base64.b64decode(re.sub(rb"\s", b"", block))).hexdigest() for block in _CERTIFICATE.findall(text)
    )


def read(path: str) -> Content:
    """Read a snapshot from its first byte to its last; raises where it is cut short, changed, or no snapshot."""
    size = os.path.getsize(path)
    if size <= HASH_SIZE or size % _SECTOR != HASH_SIZE:
        raise KubesteadError(
            f"{path} is no whole snapshot of etcd: {size} bytes are not a database with its hash behind it. It was cut short, or is "
            "something else, such as a file copied out of etcd's data directory."
        )
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        whole, database = hashlib.sha256(), hashlib.sha256()
        for start in range(0, size, _CHUNK):
            chunk = data[start : start + _CHUNK]
            whole.update(chunk)
            database.update(chunk[: max(0, size - HASH_SIZE - start)])
        if database.digest() != data[-HASH_SIZE:]:
            raise KubesteadError(
                f"{path} was cut short, or is damaged: its content does not have the hash that etcd wrote behind it."
            )
        try:
            return Content(size, whole.hexdigest(), *_keys(data))
        except BoltError as error:
            raise KubesteadError(f"{path} is no snapshot of etcd: {error}.") from error


def _keys(data: mmap.mmap) -> tuple[int, int, tuple[str, ...], tuple[str, ...]]:
    """Revision, number of keys that are not deleted, the newest authorities, and the names of the keys that encrypt."""
    bolt = Bolt(data)
    bucket = bolt.buckets().get(b"key")
    if bucket is None:
        raise BoltError("there is no bucket with keys in it")
    revision = 0
    names: set[bytes] = set()
    encrypted: dict[bytes, bytes] = {}
    authorities: tuple[str, ...] = ()
    # In the order of their revisions, each the name of an entry. Behind that of a deletion stands a t.
    for key, start, size in bolt.items(bucket):
        revision = int.from_bytes(key[:8], "big")
        if not size:
            continue  # what a restore puts there to raise the revision
        name, end = _name(data, start, size)
        (names.discard if key[17:] == b"t" else names.add)(name)
        encrypted.pop(name, None)
        if match := _ENCRYPTED.match(data, end, start + size):
            encrypted[name] = match.group(1)
        if name.endswith(_ROOT_CA):
            authorities = authority_hashes(data[start : start + size])
    used = {name.decode("utf-8", "replace") for name in encrypted.values()}
    return revision, len(names), authorities, tuple(sorted(used))


def _name(data: mmap.mmap, start: int, size: int) -> tuple[bytes, int]:
    """The key's name and where it ends: the first field of the message that an entry is, which begins with 10 and its length."""
    head = data[start : start + min(size, 6)]
    if head[:1] != b"\x0a":
        raise BoltError("an entry of it is none of etcd's")
    length = used = 0
    for used, byte in enumerate(head[1:]):
        length |= (byte & 0x7F) << 7 * used
        if byte < 0x80:
            break
    first = start + used + 2
    return bytes(data[first : first + length]), first + length


def named(moment: datetime.datetime) -> str:
    """The name of a snapshot taken at this moment; names sort as the moments do."""
    return f"etcd-{moment.strftime('%Y-%m-%dT%H-%M-%SZ')}.db"


def about(path: str) -> str:
    """The file beside a snapshot that tells about it."""
    return path[: -len(".db")] + ".json"


class Snapshots:
    """The snapshots in one folder of this node."""

    def __init__(self, etcd: Etcd, folder: str = FOLDER, keep: int = 5) -> None:
        self.etcd = etcd
        self.folder = folder
        self.keep = keep

    def take(self, moment: datetime.datetime) -> dict[str, t.Any]:
        """Take one, verify it, and forget those that are too many."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        with self._alone():
            status = self.expect()
            path = os.path.join(self.folder, named(moment))
            temporary = f"{path}.part"
            try:
                self._stream(temporary)
                content = read(temporary)
                described = self._describe(path, content, status, moment)
                _write(f"{about(path)}.part", json.dumps(described, indent=1).encode())
                os.replace(f"{about(path)}.part", about(path))
                os.replace(temporary, path)
            except BaseException:
                self._forget_unfinished()
                raise
            sync_folder(self.folder)
            removed = self._rotate()
        told = {key: described[key] for key in ("revision", "size", "sha256", "total_keys")}
        return {"file": path, "removed": removed, **told}

    def expect(self) -> dict[str, t.Any]:
        """What the member says of its size; raises where there is no room for that."""
        status = self.etcd.status()
        size = int(status.get("dbSize", 0))
        free = free_space(self.folder)
        if free < size + RESERVE:
            raise KubesteadError(
                f"No snapshot was taken: etcd's database has {mebibytes(size)}, and {self.folder} only {mebibytes(free)} of free space, "
                f"of which {mebibytes(RESERVE)} stay free. Make room, or give another path."
            )
        return status

    def _describe(
        self, path: str, content: Content, status: t.Mapping[str, t.Any], moment: datetime.datetime
    ) -> dict[str, t.Any]:
        with contextlib.suppress(OSError), open(AUTHORITY, "rb") as handle:
            content = content._replace(authorities=authority_hashes(handle.read()) or content.authorities)
        version = None
        with contextlib.suppress(OSError), open(API_SERVER_MANIFEST, encoding="utf-8") as manifest:
            version = _IMAGE_VERSION.search(manifest.read())
        return {
            **content._asdict(),
            "file": os.path.basename(path),
            "taken": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "etcd_version": status.get("version", ""),
            "kubernetes_version": version.group(1) if version else "",
            "cluster_id": status.get("header", {}).get("cluster_id", ""),
            "members": sorted(member.name for member in self.etcd.members()),
        }

    @contextlib.contextmanager
    def _alone(self) -> t.Iterator[None]:
        """One snapshot at a time, be it a run's or the timer's; what a killed one has left is removed first."""
        descriptor = os.open(os.path.join(self.folder, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._forget_unfinished()
            yield
        finally:
            os.close(descriptor)

    def _forget_unfinished(self) -> None:
        for path in glob.glob(os.path.join(glob.escape(self.folder), "etcd-*.part")):
            os.unlink(path)

    def _stream(self, path: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            for blob in self.etcd.snapshot():
                target.write(blob)
            target.flush()
            os.fsync(target.fileno())
            # What is read back is to come from the disk.
            os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _rotate(self) -> list[str]:
        """Remove the oldest, so that as many stay as are kept; gives what went."""
        found = sorted(glob.glob(os.path.join(glob.escape(self.folder), "etcd-*.db")))
        surplus = found[: max(0, len(found) - self.keep)]
        for path in surplus:
            os.unlink(path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(about(path))
        return surplus


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())


def sync_folder(path: str) -> None:
    """Have the names in a folder on the disk before this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(path: str) -> int:
    """The bytes that are free where a folder is, or will be."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def mebibytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1024 / 1024:.0f} MiB"


def main(arguments: t.Sequence[str]) -> int:
    """What the timer runs: take a snapshot into a folder, keep a number of them; gives the exit code."""
    folder, keep = arguments
    try:
        taken = Snapshots(Etcd(["localhost"], timeout=30), folder, int(keep)).take(
            datetime.datetime.now(datetime.timezone.utc)
        )
    except (KubesteadError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{taken['file']} holds revision {taken['revision']}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
