# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renew the certificates that kubeadm made for a control plane: only its own, only where it is time, and until they are in use."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import ssl
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import certificates, public_key_hashes
from ansible_collections.kubestead.cluster.plugins.module_utils._certificates_state import (
    FOLDER,
    KUBEADM,
    NodeCertificates,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import ADMIN_CONF, Kubeadm, seconds
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import PATIENCE, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState, read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock, secret_directory, write_secret
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pods import StaticPods
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SECRETS = "/run/kubestead-certificates"
# How long another operation on this node, such as that of a killed run, may take to end.
LOCK_SECONDS = 300
LONGEST_DAYS = 366
# Which authority signs what, below FOLDER; the kubeconfigs' are signed by the first.
AUTHORITIES = {
    "pki/ca": ("pki/apiserver", "pki/apiserver-kubelet-client"),
    "pki/front-proxy-ca": ("pki/front-proxy-client",),
    "pki/etcd/ca": ("pki/etcd/server", "pki/etcd/peer", "pki/etcd/healthcheck-client", "pki/apiserver-etcd-client"),
}
# What each pod reads once, when it starts. etcd reads its files for every connection.
_READ_AT_START = {
    "kube-apiserver": (
        "pki/apiserver.crt",
        "pki/apiserver-kubelet-client.crt",
        "pki/apiserver-etcd-client.crt",
        "pki/front-proxy-client.crt",
    ),
    "kube-controller-manager": ("controller-manager.conf",),
    "kube-scheduler": ("scheduler.conf",),
}
_KUBECONFIGS = tuple(name for name in KUBEADM if name.endswith(".conf"))
_VALIDITY = re.compile(r"^certificateValidityPeriod:\s*[\"']?([0-9a-z.]+)", re.MULTILINE)
_DATA = "^\\s*{}-data:\\s*(\\S+)"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name: what has expired is just what is to be renewed.
_ANY_TIME = 0x200000


def embedded(kubeconfig: str, key: str) -> str:
    """What a kubeconfig holds under a key, as certificate-authority or client-key; empty where it holds none."""
    match = re.search(_DATA.format(key), kubeconfig, re.MULTILINE)
    try:
        return base64.b64decode(match.group(1)).decode("ascii", "replace") if match else ""
    except binascii.Error:
        return ""


def mismatch(certificate: str, key: str) -> str:
    """Why a certificate and a key, two files, do not belong together; empty where they do."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        return f"its key does not fit it ({getattr(error, 'reason', None) or error})"
    return ""


def not_signed(pair: tuple[str, str], authority: str, server: t.Optional[tuple[str, str]] = None) -> str:
    """Why a certificate is not the authority's; empty where it is.

    The standard library verifies signatures only when two parties greet each other, so they do, in memory. The pair
    plays the server, or the client of the given server where it is no certificate for servers.
    """
    ours, other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.load_cert_chain(*(server or pair))
    other.check_hostname = False
    other.verify_mode = ssl.CERT_NONE
    judge = ours if server else other
    if server:
        other.load_cert_chain(*pair)
    judge.load_verify_locations(authority)
    judge.verify_mode = ssl.CERT_REQUIRED
    # Numbers, since Python's own flags forget a bit that they have no name for.
    flags = (int(judge.verify_flags) | _ANY_TIME) & ~int(getattr(ssl, "VERIFY_X509_STRICT", 0))
    judge.verify_flags = flags  # type: ignore[assignment]
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    parties = [
        other.wrap_bio(to_client, to_server, server_side=False),
        ours.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        # Each party speaks a few times; more would be a greeting that never ends.
        for _turn in range(8):
            waiting = [party for party in parties if not _greets(party)]
            if not waiting:
                return ""
    except ssl.SSLError as error:
        return str(getattr(error, "verify_message", "") or error.reason or error)
    return "the greeting did not end"


def _greets(party: ssl.SSLObject) -> bool:
    try:
        party.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


class Renewal:
    """The renewal of one control plane's certificates."""

    def __init__(self, module: AnsibleModule, root: str = "/") -> None:
        self.module = module
        self.names: list[str] = module.params["names"]
        self.folder = os.path.join(root, FOLDER.lstrip("/"))
        self.state = KubernetesState(root)
        self.certificates = NodeCertificates(root)
        self.pods = StaticPods(module, self.state)

    def perform(self) -> dict[str, t.Any]:
        """Renew what is due and have it read; gives the module's result."""
        if self.state.stage != "member" or self.state.role != "control_plane":
            raise KubesteadError(
                f"This node is no control plane of a cluster (it is {self.state.stage}), so kubeadm keeps no certificates here. "
                "Nothing was changed."
            )
        if self.module.check_mode:
            due = self._judged()
            stale = self._stale(renewed=bool(due))
            return {"changed": bool(due or stale), "renewed": due, "restarted": stale, "not_after": self._first_end()}
        with node_lock(LOCK_SECONDS) as lock:
            due = self._judged()
            if due:
                self._renew(due, lock)
            restarted = self._restart()
            self._verify_served()
        return {
            "changed": bool(due or restarted),
            "renewed": due,
            "restarted": restarted,
            "not_after": self._first_end(),
        }

    def _judged(self) -> list[str]:
        """What is to be renewed, by kubeadm's names; raises where that must not be begun."""
        self._require_keys()
        with secret_directory(f"{SECRETS}-check" if self.module.check_mode else SECRETS) as directory:
            strange = list(self._strange(directory))
        if strange:
            raise KubesteadError(
                "The certificates on this node are not all this cluster's, or are damaged. Nothing was changed.\n"
                + "\n".join(f"- {one}" for one in strange)
                + f"\nPut back the files of {FOLDER} that belong to this cluster, from another control plane or a backup, and run the same "
                "again. A single certificate whose authority is right is made anew by `kubeadm certs renew NAME` on this node.",
                strange=strange,
            )
        managed = [item for item in self.certificates.files() if item["kubeadm"]]
        chosen = [item for item in managed if not self.names or item["kubeadm"] in self.names]
        missing = sorted(set(self.names) - {item["kubeadm"] for item in chosen})
        if missing:
            raise KubesteadError(
                f"There is no certificate {' and no '.join(missing)} on this node. It has "
                f"{', '.join(sorted(item['kubeadm'] for item in managed))}. Nothing was changed."
            )
        before = self.module.params["before"]
        if not self.module.params["force"] and all(item["days"] >= before for item in chosen):
            return []
        self._require_health(managed)
        self._require_a_year()
        return [item["kubeadm"] for item in chosen]

    def _authorities(self) -> dict[str, tuple[str, ...]]:
        """The authorities that this node needs: with an etcd of the user's own, none for that."""
        return {
            authority: tuple(name for name in names if os.path.exists(f"{self.folder}/{name}.crt"))
            for authority, names in AUTHORITIES.items()
            if authority != "pki/etcd/ca" or not self.state.external_etcd
        }

    def _require_keys(self) -> None:
        missing = [name for name in self._authorities() if not os.path.exists(f"{self.folder}/{name}.key")]
        if missing:
            raise KubesteadError(
                f"The key of {' and of '.join(missing)} is not on this node (looked for "
                f"{' and '.join(f'{self.folder}/{name}.key' for name in missing)}), so this cluster's certificates are signed elsewhere, "
                "and kubeadm cannot renew them. Nothing was changed.\n"
                "Have `kubeadm certs generate-csr --kubeconfig-dir DIRECTORY --cert-dir DIRECTORY` make the requests on this node, sign "
                "them where the key is, put the certificates, keys and kubeconfigs in their places, and restart what reads them with the "
                "module kubestead.cluster.static_pod_restart.",
                missing=missing,
            )

    def _strange(self, directory: str) -> t.Iterator[str]:
        """What does not belong to this cluster, in words; directory is for keys that lie in kubeconfigs."""
        for authority, names in self._authorities().items():
            path = f"{self.folder}/{authority}.crt"
            complaint = self._complaint_of_authority(path)
            if complaint:
                yield f"{authority}.crt: {complaint}"
                continue
            for name in names:
                yield from self._strange_pair(
                    f"{name}.crt", (f"{self.folder}/{name}.crt", f"{self.folder}/{name}.key"), path
                )
        for name in (*_KUBECONFIGS, "kubelet.conf"):
            text = read_text(f"{self.folder}/{name}")
            if text is not None:
                yield from self._strange_kubeconfig(name, text, directory)

    def _complaint_of_authority(self, path: str) -> str:
        complaint = mismatch(path, f"{path[: -len('.crt')]}.key")
        if not complaint and self.certificates.described(certificates(read_text(path) or "", path)[0])["days"] < 0:
            return (
                "it has expired, and nothing that it signs would be good: see docs/certificates.md for a new authority"
            )
        return complaint

    def _strange_pair(self, name: str, pair: tuple[str, str], authority: str) -> t.Iterator[str]:
        """What is wrong with a certificate and its key."""
        complaint = mismatch(*pair)
        if not complaint:
            serves = certificates(read_text(pair[0]) or "", pair[0])[0].serves
            server = (f"{self.folder}/pki/apiserver.crt", f"{self.folder}/pki/apiserver.key")
            # With a foreign server nobody could be greeted; it is complained of by itself.
            if not serves and mismatch(*server):
                return
            signature = not_signed(pair, authority, None if serves else server)
            complaint = (
                f"{os.path.relpath(authority, self.folder)} has not signed it ({signature})" if signature else ""
            )
        if complaint:
            yield f"{name}: {complaint}"

    def _strange_kubeconfig(self, name: str, text: str, directory: str) -> t.Iterator[str]:
        authority = f"{self.folder}/pki/ca.crt"
        trusted = embedded(text, "certificate-authority")
        try:
            ours = public_key_hashes(read_text(authority) or "", authority)
            if trusted and not set(ours) & set(public_key_hashes(trusted, name)):
                yield f"{name}: it trusts another authority than pki/ca.crt"
                return
        except KubesteadError as error:
            yield f"{name}: {error.message}"
            return
        certificate, key = embedded(text, "client-certificate"), embedded(text, "client-key")
        if name in _KUBECONFIGS and not (certificate and key):
            yield f"{name}: it holds no client certificate with its key"
        elif certificate and key:
            pair = (write_secret(directory, f"{name}.crt", certificate), write_secret(directory, f"{name}.key", key))
            yield from self._strange_pair(name, pair, authority)

    def _require_health(self, managed: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        """A control plane that is ill for another reason is not restarted into the unknown."""
        if any(item["days"] < 0 for item in managed):
            return
        try:
            # One that was started a moment ago, perhaps by a run that was broken off, is only slow.
            wait_for(self._complaints, lambda complaints: not complaints, "health", PATIENCE)
        except WaitTimeoutError as error:
            complaints = error.last
            raise KubesteadError(
                "This control plane is not healthy, and not because a certificate has expired. Nothing was changed.\n"
                + "\n".join(f"- {complaint}" for complaint in complaints)
                + "\nMend that first (`crictl ps -a`, `journalctl -u kubelet`), then run the same again.",
                complaints=complaints,
            ) from error

    def _complaints(self) -> list[str]:
        found = {name: self.pods.complaint(name) for name in self.pods.names}
        return [f"{name}: {complaint}" for name, complaint in found.items() if complaint]

    def _require_a_year(self) -> None:
        """Raise where the cluster asks for more; kubeadm takes the validity from there, and a year where it cannot ask."""
        found = Kubectl(self.module, ADMIN_CONF).run(
            *("get", "configmap/kubeadm-config", "--namespace=kube-system", "--request-timeout=10s", "--output=json"),
            check=False,
        )
        try:
            text = json.loads(found.stdout)["data"]["ClusterConfiguration"] if found.rc == 0 else ""
        except (ValueError, KeyError):
            text = ""
        match = _VALIDITY.search(text)
        if match and seconds(match.group(1)) > LONGEST_DAYS * 86400:
            raise KubesteadError(
                f"The ConfigMap kubeadm-config in kube-system asks for certificates that are good for {match.group(1)}, and Kubestead "
                "makes none that outlive a year (8760h). Nothing was changed. Set certificateValidityPeriod in its ClusterConfiguration "
                "to 8760h (`kubectl -n kube-system edit configmap kubeadm-config`), and in cluster_kubeadm_cluster_config if it "
                "stands there."
            )

    def _renew(self, names: t.Sequence[str], lock: int) -> None:
        kubeadm = Kubeadm(self.module)
        before = {item["kubeadm"]: item.get("fingerprint") for item in self.certificates.files()}
        for name in names if self.names else ["all"]:
            kubeadm.run(
                *("certs", "renew", name, "--kubeconfig", ADMIN_CONF),
                timeout=300,
                pass_fds=[lock],
                advice="What was renewed until then is good. Remove the cause and run the same again.",
            )
        after = {item["kubeadm"]: item.get("fingerprint") for item in self.certificates.files()}
        same = [name for name in names if before[name] == after.get(name)]
        if same:
            raise KubesteadError(
                f"kubeadm ended well and left {', '.join(same)} as they were. See `kubeadm certs check-expiration` on this node."
            )

    def _stale(self, renewed: bool = False) -> list[str]:
        """The pods that still use what their files held before."""
        if renewed:
            return [name for name in self.pods.names if name in _READ_AT_START]
        served = {item["name"] for item in self.certificates.served() if item["current"] is False}
        return [name for name in self.pods.names if self._older(name) or name in served or f"{name}'s peers" in served]

    def _older(self, name: str) -> bool:
        """Whether a pod was started before the last of its files was written."""
        paths = [f"{self.folder}/{file}" for file in _READ_AT_START.get(name, ())]
        written = max((os.stat(path).st_mtime for path in paths if os.path.exists(path)), default=0.0)
        started = self.pods.started(name)
        return started is not None and started < written

    def _restart(self) -> list[str]:
        """Restart what still uses the old certificates; gives the names."""
        return [item["name"] for item in self.pods.restart(self._stale(), float(self.module.params["timeout"]))]

    def _verify_served(self) -> None:
        """Ask the servers of this control plane what they show now."""

        def old() -> list[str]:
            return [
                f"{item['name']} on port {item['port']}: {item['error'] or 'still the old one'}"
                for item in self.certificates.served()
                if item["path"] and item["name"] != "kubelet" and not item["current"]
            ]

        try:
            wait_for(old, lambda found: not found, "the renewed certificates to be shown", 30, describe="; ".join)
        except WaitTimeoutError as error:
            raise KubesteadError(
                f"{error.message}\nThe files are renewed. See `crictl ps -a` on this node, then run the same again.",
                old=error.last,
            ) from error

    def _first_end(self) -> str:
        """When the first of kubeadm's certificates expires."""
        return min((item["not_after"] for item in self.certificates.files() if item["kubeadm"]), default="")
