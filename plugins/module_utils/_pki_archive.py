# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a cluster this cluster and is not in etcd: its certificate authorities, its signing keys, its encryption keys."""

from __future__ import annotations

import io
import os
import re
import tarfile
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

FOLDER = "/etc/kubernetes"
# Every other certificate is made from these.
FILES = (
    *("pki/ca.crt", "pki/ca.key", "pki/front-proxy-ca.crt", "pki/front-proxy-ca.key"),
    *("pki/etcd/ca.crt", "pki/etcd/ca.key", "pki/sa.key", "pki/sa.pub"),
)
_ENCRYPTION = re.compile(r"--encryption-provider-config=([^\s\"']+)")


def pack(path: str, folder: str = FOLDER) -> list[str]:
    """Write the archive, root's alone; gives the names of the files in it."""
    names = [name for name in (*FILES, *_encryption_files(folder)) if os.path.exists(os.path.join(folder, name))]
    if "pki/ca.crt" not in names:
        raise KubesteadError(f"This node has no certificate authority in {folder}/pki. Run this on a control plane.")
    temporary = f"{path}.part"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        with tarfile.open(fileobj=target, mode="w:gz") as archive:
            for name in names:
                archive.add(os.path.join(folder, name), name, recursive=False)
        target.flush()
        os.fsync(target.fileno())
    os.replace(temporary, path)
    return names


def _encryption_files(folder: str) -> list[str]:
    """The file with the keys that Secrets are encrypted with, where the API server names one below the folder."""
    try:
        with open(os.path.join(folder, "manifests/kube-apiserver.yaml"), encoding="utf-8") as handle:
            found = _ENCRYPTION.findall(handle.read())
    except OSError:
        return []
    return [os.path.relpath(path, FOLDER) for path in found if path.startswith(f"{FOLDER}/")]


def unpack(path: str, folder: str = FOLDER, write: bool = True) -> list[str]:
    """Put the files of an archive in their places; gives the names of those that were not there. Never replaces another."""
    contents = _contents(path)
    other = [name for name, data in contents.items() if _differs(os.path.join(folder, name), data)]
    if other:
        raise KubesteadError(
            f"Nothing was changed. This machine has files of another cluster: {', '.join(other)} below {folder} differ from those in the "
            "backup. Reset the machine first (`kubestead reset --limit`, or playbooks/reset.yml), if nothing on it is needed any more."
        )
    missing = [name for name in contents if not os.path.exists(os.path.join(folder, name))]
    for name in missing if write else ():
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        public = name.endswith((".crt", ".pub"))
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if public else 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(contents[name])
    return missing


def _contents(path: str) -> dict[str, bytes]:
    """The files in an archive; raises where it is none of ours."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for entry in archive:
                name = os.path.normpath(entry.name)
                if not entry.isfile() or name.startswith(("/", "..")):
                    raise KubesteadError(
                        f"Nothing was changed. {path} holds {entry.name}, which no backup of ours does."
                    )
                contents[name] = t.cast(io.BufferedReader, archive.extractfile(entry)).read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise KubesteadError(f"Nothing was changed. {path} cannot be read as an archive: {error}.") from error
    lacking = [name for name in ("pki/ca.crt", "pki/ca.key", "pki/sa.key") if name not in contents]
    if lacking:
        raise KubesteadError(
            f"Nothing was changed. {path} lacks {', '.join(lacking)}, without which no control plane can be made."
        )
    return contents


def _differs(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as handle:
            return handle.read() != content
    except FileNotFoundError:
        return False
