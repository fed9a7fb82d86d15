# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys with which the API servers encrypt Secrets: their file, what each API server has read of it, and rewriting."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import ADMIN_CONF
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# An API server looks at the file once a minute.
RELOAD_SECONDS = 150
ROUNDS = 5
_BEGINNING = """\
# Written by Kubestead. With these keys the API servers encrypt Secrets in etcd. Without them nobody can read those Secrets any more.
# What stands first is what a Secret is written with, all of it reads. `identity` is no encryption: Secrets from before there was one.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
"""
_SECRETBOX = """\
      - secretbox:
          keys:
"""
_KEY = """\
            - name: {name}
              secret: {secret}
"""
_IDENTITY = """\
      - identity: {}
"""
_KEYS = re.compile(r"^ {12}- name: (key[1-9]\d*)\n {14}secret: ([A-Za-z0-9+/]{43}=)\n", re.MULTILINE)
_LOADED = re.compile(
    r'^apiserver_encryption_config_controller_last_config_info\{[^}\n]*\bhash="(sha256:[0-9a-f]{64})"', re.MULTILINE
)
_PORT = re.compile(r"--secure-port=(\d+)")


class Key(t.NamedTuple):
    """One key. Its name holds its number, and stands in front of all that it encrypted."""

    name: str
    secret: str

    @property
    def number(self) -> int:
        """How many keys were before it, and one."""
        return int(self.name[len("key") :])


def new_key(keys: t.Iterable[Key]) -> Key:
    """A random key, numbered after all of these."""
    number = max((key.number for key in keys), default=0) + 1
    return Key(f"key{number}", base64.b64encode(secrets.token_bytes(32)).decode("ascii"))


def render(keys: t.Iterable[Key], encrypting: bool = True) -> str:
    """The API server's file with these keys, in their order; on request they only decrypt."""
    secretbox = _SECRETBOX + "".join(_KEY.format(**key._asdict()) for key in keys)
    return _BEGINNING + (secretbox + _IDENTITY if encrypting else _IDENTITY + secretbox)


def encrypts(text: str) -> bool:
    """Whether what is written by a file of ours is encrypted, and not only read."""
    body = _body(text)
    return body.find(_SECRETBOX) < body.find(_IDENTITY)


def _body(text: str) -> str:
    """The file without its comments, which may become others."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def parse(text: str) -> list[Key]:
    """The keys of a file that render made; an error where somebody else wrote it."""
    keys = [Key(*found) for found in _KEYS.findall(text)]
    if not keys or _body(text) != _body(render(keys, encrypts(text))):
        raise KubesteadError(
            "The file with the keys was not written by Kubestead, or was edited. Its keys are not changed; rotate them by hand, as "
            "Kubernetes' documentation on encryption at rest tells."
        )
    return keys


def united(files: t.Iterable[t.Sequence[Key]]) -> list[Key]:
    """The keys of the first file in their order, then those that only others have; an error where they contradict."""
    found: dict[str, Key] = {}
    for keys in files:
        for key in keys:
            if found.setdefault(key.name, key) != key:
                raise KubesteadError(
                    f"Two control planes have different keys of the name {key.name}: one of them has the keys of another cluster. "
                    "Nothing was changed. `grep encryption-provider-config /etc/kubernetes/manifests/kube-apiserver.yaml` names the file."
                )
    return list(found.values())


def newest_first(keys: t.Sequence[Key]) -> list[Key]:
    """The same keys, the newest at the place of the one that encrypts."""
    return sorted(keys, key=lambda key: -key.number)


class KeyFile:
    """The file with the keys on this control plane."""

    def __init__(self, path: str, manifest: str = MANIFEST) -> None:
        self.path = path
        self.manifest = manifest

    def text(self) -> t.Optional[str]:
        """What it holds; None where it is missing."""
        return read_text(self.path)

    def keys(self) -> list[Key]:
        """Its keys; an error where it is missing or not ours."""
        text = self.text()
        if text is None:
            raise KubesteadError(
                f"This control plane has no {self.path}, so the cluster's Secrets are not encrypted by Kubestead. Nothing was changed. "
                "With cluster_encrypt_secrets, a run of site.yml makes it."
            )
        return parse(text)

    def in_use(self) -> bool:
        """Whether this node's API server is told to read it."""
        return f"--encryption-provider-config={self.path}" in (read_text(self.manifest) or "")

    def write(self, text: str) -> None:
        """Put the file there in one step, for root alone, and on the disk before this returns."""
        folder = os.path.dirname(self.path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        temporary = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self.path)


class Encryption:
    """The encryption of Secrets, seen from one control plane."""

    def __init__(self, module: AnsibleModule, path: str, kubeconfig: str = ADMIN_CONF) -> None:
        self.module = module
        self.file = KeyFile(path)
        self.kubectl = Kubectl(module, kubeconfig)

    def present(self, configuration: t.Optional[str], member: bool) -> bool:
        """Have the file: a member's own stays, any other control plane takes the given one over, and one without both makes a key.

        In a cluster that runs already it only decrypts, until all API servers have it: one without could not read what others
        encrypt.
        """
        own = self.file.text()
        if own is not None and (member or configuration in (None, own)):
            return False
        if configuration is None and self.file.in_use():
            raise KubesteadError(
                f"{self.file.path} is missing, and no other control plane has it. Secrets in etcd are encrypted with its keys, so no new "
                "one is made. Nothing was changed. Bring the file back from a backup of any control plane, then run the same again."
            )
        if not self.module.check_mode:
            self.file.write(configuration or render([new_key([])], encrypting=not member))
        return True

    def add_key(self, others: t.Iterable[str], wait: bool = True) -> bool:
        """Have a key more than the one that encrypts, the others' where they have it already; whether the file changed."""
        own = self.file.keys()
        keys = united([own, *map(parse, others)])
        return self._change(keys if len(keys) > 1 else [*keys, new_key(keys)], wait)

    def use_newest(self) -> bool:
        """Have the newest key encrypt; whether the file changed."""
        return self._change(newest_first(self.file.keys()), encrypting=True)

    def drop_others(self, wait: bool = True) -> bool:
        """Leave only the key that encrypts; whether the file changed."""
        return self._change(self.file.keys()[:1], wait)

    def _change(self, keys: t.Sequence[Key], wait: bool = True, encrypting: bool = False) -> bool:
        """Have these keys in the file, and in the API server, which must be able to read it."""
        if not self.file.in_use():
            raise KubesteadError(
                f"This node's API server does not read {self.file.path}, so its Secrets are not encrypted. Nothing was changed. "
                "Run site.yml, which brings the API servers their arguments, then the same again."
            )
        present = self.file.text() or ""
        text = render(keys, encrypting or encrypts(present))
        changed = text != present
        if not self.module.check_mode:
            if changed:
                self.file.write(text)
            if wait:
                self.wait_until_loaded()
        return changed

    def wait_until_loaded(self) -> None:
        """Wait until this node's API server works with the file as it is now."""
        digest = "sha256:" + hashlib.sha256((self.file.text() or "").encode()).hexdigest()
        try:
            wait_for(
                self._loaded, lambda found: digest in found, "the API server to read its keys anew", RELOAD_SECONDS, 3
            )
        except WaitTimeoutError as error:
            raise KubesteadError(
                f"{error.message}. {self.file.path} is written, and is {digest}. The API server's log tells why it was not taken: "
                "`crictl logs $(crictl ps --name kube-apiserver --quiet)`. Remove the cause and run the same again."
            ) from error

    def _loaded(self) -> list[str]:
        """Digests of what this node's own API server says that it has read."""
        port = _PORT.search(read_text(self.file.manifest) or "")
        server = f"--server=https://127.0.0.1:{port.group(1) if port else 6443}"
        # Its certificate names the node and the service, not the loopback.
        outcome = self.kubectl.run(
            *("get", "--raw", "/metrics", server, "--tls-server-name=kubernetes.default"), check=False, timeout=30
        )
        return _LOADED.findall(outcome.stdout)

    def rewrite(self) -> int:
        """Write every Secret again as it is, which encrypts it with the first key; gives how many there are."""
        namespaces = [item["metadata"]["name"] for item in self.kubectl.get("namespaces")]
        return sum(self._rewrite_namespace(name) for name in namespaces)

    def _rewrite_namespace(self, namespace: str) -> int:
        """Secrets that change or vanish meanwhile are refused, and looked at again; nothing of them is ever quoted."""
        said = ""
        for _round in range(ROUNDS):
            outcome = self.kubectl.run("get", "secrets", "--namespace", namespace, "-o", "json", check=False)
            if outcome.rc != 0:
                said = outcome.stderr.strip()
                continue
            items = json.loads(outcome.stdout)["items"]
            if not items or self.module.check_mode:
                return len(items)
            outcome = self.kubectl.run(
                "replace", "--filename", "-", "--output", "name", data=outcome.stdout, check=False
            )
            if outcome.rc == 0:
                return len(items)
            said = outcome.stderr.strip()
        raise KubesteadError(
            f"The Secrets of the namespace {namespace} could not be written again in {ROUNDS} tries; the last one said: {said[-800:]} "
            "All keys are still in place, and every Secret can be read. Run the same again."
        )
