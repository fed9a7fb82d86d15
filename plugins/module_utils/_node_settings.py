# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm would write on this node now, how it differs from what lies there, and bringing the node to it."""

from __future__ import annotations

import contextlib
import datetime
import glob
import os
import shutil
import ssl
import tempfile
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils import _settings as settings
from ansible_collections.kubestead.cluster.plugins.module_utils._certificate import Certificate, certificates
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd, Member
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    Kubeadm,
    kubelet_trouble,
    multi_document,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState, read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import node_lock, secret_directory, write_secret
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import is_ready
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pods import MANIFESTS, NAMES, StaticPods
from ansible_collections.kubestead.cluster.plugins.module_utils._tools import Systemctl
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import WaitTimeoutError, wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

PKI = "/etc/kubernetes/pki"
KUBELET_CONFIGURATION = "/var/lib/kubelet/config.yaml"
KUBELET_INSTANCE = "/var/lib/kubelet/instance-config.yaml"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
CERTIFICATE = "the API server's certificate"
# Phases of an init that write nothing but what the node's own services read. The rest is left out.
SKIPPED = (
    *("preflight", "certs", "kubeconfig", "wait-control-plane", "upload-config", "upload-certs", "mark-control-plane"),
    *("bootstrap-token", "kubelet-finalize", "addon", "show-join-command"),
)
# Seconds in which the API server takes up a certificate by itself: it watches the file, and looks once a minute.
_CERTIFICATE_SECONDS = 90
# A pod that was started again so often will not run. The API server may end once, where etcd has just begun.
_ATTEMPTS = 2
_TURN = 10.0


class Difference(t.NamedTuple):
    """A file that is to be another, or the certificate; service is what reads it."""

    service: str
    path: str
    before: str
    after: str

    def shown(self) -> dict[str, str]:
        """How Ansible shows it."""
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": settings.without_credentials(self.before),
            "after": settings.without_credentials(self.after),
        }


class NodeSettings:
    """The settings of one node that is a member of the cluster."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.timeout = float(module.params["timeout"])
        self.state = KubernetesState()
        self.pods = StaticPods(module, self.state)

    def perform(self) -> dict[str, t.Any]:
        """Bring the node to its settings; gives the module's result."""
        if self.state.stage != "member":
            return {"changed": False, "differences": [], "restarted": []}
        differences = self.differences()
        restarted: list[str] = []
        if differences and not self.module.check_mode:
            with node_lock(self.timeout):
                restarted = self._apply(differences)
        result: dict[str, t.Any] = {
            "changed": bool(differences),
            "differences": [{"service": one.service, "path": one.path} for one in differences],
            "restarted": restarted,
        }
        if self.module._diff:
            result["diff"] = [one.shown() for one in differences]
        return result

    @property
    def _control_plane(self) -> bool:
        return self.state.role == "control_plane"

    @property
    def _documents(self) -> list[dict[str, t.Any]]:
        manifest = read_text(f"{MANIFESTS}/kube-apiserver.yaml") or ""
        version = settings.image_version(manifest) or f"v{Kubeadm(self.module).version()}"
        return settings.with_version(self.module.params["config"], version)

    def differences(self) -> list[Difference]:
        """What lies on the node and is wanted otherwise; raises where a setting differs that stays."""
        documents = self._documents
        rendered = self._render(documents)
        present = {path: read_text(path) or "" for path in rendered}
        etcd = f"{MANIFESTS}/etcd.yaml"
        if rendered.get(etcd) and present[etcd]:
            rendered[etcd] = settings.keep_initial_cluster(rendered[etcd], present[etcd])
        self._refuse(documents, present, rendered)
        paths = [*(f"{MANIFESTS}/{name}.yaml" for name in NAMES), KUBELET_CONFIGURATION]
        *pods, kubelet = (
            [Difference(_service(path), path, present[path], rendered[path])]
            if path in rendered and present[path] != rendered[path]
            else []
            for path in paths
        )
        certificate = self._certificate_differences(documents) if self._control_plane else []
        return [*(one for pod in pods for one in pod), *certificate, *kubelet]

    def _render(self, documents: list[dict[str, t.Any]]) -> dict[str, str]:
        """What kubeadm would write, by path."""
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            # A worker has the authority without its key, which kubeadm would take for somebody else's. There it looks elsewhere.
            elsewhere = os.path.join(directory, "pki")
            pki = str(settings.document(documents, settings.CLUSTER).get("certificatesDir") or PKI)
            given = documents if self._control_plane else _with_certificates_in(elsewhere, documents)
            config = write_secret(directory, "kubeadm", multi_document(given))
            kubeadm = Kubeadm(self.module, {"KUBEADM_INIT_DRYRUN_DIR": directory})
            only = ["--skip-phases", ",".join(SKIPPED)] if self._control_plane else []
            phase = ["init"] if self._control_plane else ["init", "phase", "kubelet-start"]
            outcome = kubeadm.run(*phase, "--dry-run", "--config", config, *only, check=False)
            if outcome.rc != 0:
                # It says what it does not like in the configuration, and where.
                kubeadm.validate(config)
                raise outcome.error("Nothing was changed on this node.")
            texts = {
                os.path.basename(path): (read_text(path) or "").replace(elsewhere, pki)
                for path in glob.glob(f"{directory}/*.yaml")
            }
        found = {f"{MANIFESTS}/{name}.yaml": texts.get(f"{name}.yaml") for name in NAMES}
        found[KUBELET_CONFIGURATION] = texts.get("config.yaml")
        found[KUBELET_INSTANCE] = texts.get("instance-config.yaml")
        return {path: text for path, text in found.items() if text is not None}

    def _refuse(
        self, documents: list[dict[str, t.Any]], present: t.Mapping[str, str], rendered: t.Mapping[str, str]
    ) -> None:
        """Raise where a setting that stays is wanted otherwise, also by way of the variables that are merged in."""
        found = {**self._staying(present), **settings.built_with(lambda path: present.get(path, read_text(path)))}
        wanted = {**self._staying(rendered), **settings.built_with(rendered.get)}
        if self._control_plane:
            wanted["cluster_endpoint"] = settings.endpoint(documents)
        wrong = [settings.refusal(name, found[name], wanted[name]) for name in settings.differing(found, wanted)]
        places = {True: "an etcd of your own", False: "etcd on the control planes"}
        external = bool(self.state.external_etcd), f"{MANIFESTS}/etcd.yaml" not in rendered
        if self._control_plane and external[0] != external[1]:
            wrong.append(settings.refusal("cluster_external_etcd", *(places[one] for one in external)))
        if wrong:
            raise KubesteadError(
                "\n".join([*(f"{line}." for line in wrong), f"Nothing was changed. {settings.REBUILD}"])
            )

    def _staying(self, texts: t.Mapping[str, str]) -> dict[str, str]:
        shown = settings.shown({name: texts.get(f"{MANIFESTS}/{name}.yaml", "") for name in NAMES})
        runtime = settings.container_runtime(texts.get(KUBELET_INSTANCE, ""))
        return {**shown, **({"the container runtime's socket": runtime} if runtime else {})}

    def _certificate_differences(self, documents: list[dict[str, t.Any]]) -> list[Difference]:
        path = f"{PKI}/apiserver.crt"
        present = set(certificates(read_text(path) or "", path)[0].alternative_names)
        wanted = settings.names_of_certificate(documents, str(self.state.node_name))
        if present == wanted:
            return []
        before, after = ("".join(f"{name}\n" for name in sorted(names)) for names in (present, wanted))
        return [Difference(CERTIFICATE, path, before, after)]

    def _apply(self, differences: list[Difference]) -> list[str]:
        """Bring one service after the other to its file, each waited for; gives those that were restarted."""
        restarted = []
        for one in differences:
            if one.service == CERTIFICATE:
                self._renew_certificate()
                continue
            if one.service == "kubelet":
                self._change_kubelet(one)
            else:
                self._change_pod(one)
            restarted.append(one.service)
        return restarted

    def _change_pod(self, one: Difference) -> None:
        """Write a static pod's manifest, and wait until the pod of it is healthy; else the old one is put back."""
        if one.service == "etcd":
            self._check_members()
        old = self.pods.container(one.service)
        _write(one.path, one.after, 0o600)
        try:
            self._wait_for_pod(one.service, old)
        except KubesteadError as error:
            failed = self.pods.container(one.service)
            _write(one.path, one.before, 0o600)
            raise self._taken_back(
                one, error, lambda: self.pods.wait_for_new(one.service, failed, self.timeout)
            ) from error

    def _wait_for_pod(self, name: str, old: t.Optional[str]) -> None:
        """Wait for the new pod in turns, so that one which ends again and again is not waited for to the end."""
        deadline = time.monotonic() + self.timeout
        while True:
            left = deadline - time.monotonic()
            try:
                self.pods.wait_for_new(name, old, min(_TURN, left))
            except KubesteadError:
                if left <= _TURN or self.pods.attempts(name, old) >= _ATTEMPTS:
                    raise
            else:
                return

    def _check_members(self) -> None:
        """Raise unless every member of etcd answers: without one of the others, this one's restart could stop the cluster."""
        for member in Etcd(["localhost"]).members():
            complaint = _complaint(member)
            if complaint:
                raise KubesteadError(
                    f"etcd's member {member.name or member.id} does not answer, and restarting another one now could cost etcd its "
                    f"majority. Nothing was changed on this node. {complaint}"
                )

    def _change_kubelet(self, one: Difference) -> None:
        _write(one.path, one.after, 0o600)
        try:
            self._restart_kubelet()
        except KubesteadError as error:
            _write(one.path, one.before, 0o600)
            raise self._taken_back(one, error, self._restart_kubelet) from error

    def _restart_kubelet(self) -> None:
        """Restart the kubelet and wait until it has reported to the API server and the node is Ready."""
        begun = datetime.datetime.now(datetime.timezone.utc)
        Systemctl(self.module).run("restart", "kubelet.service", check=False, timeout=120)
        kubectl = Kubectl(self.module, KUBELET_CONF)
        name = str(self.state.node_name)

        def look() -> str:
            try:
                leases = kubectl.get("lease", name, "--namespace=kube-node-lease", "--request-timeout=5s")
                nodes = kubectl.get("node", name, "--request-timeout=5s")
            except KubesteadError as error:
                return error.message
            if not any(_moment(lease["spec"]["renewTime"]) > begun for lease in leases):
                return "the kubelet has not reported since its restart"
            return "" if all(map(is_ready, nodes)) else "the node is not Ready"

        try:
            wait_for(look, lambda complaint: not complaint, "the kubelet", self.timeout, interval=0.5)
        except WaitTimeoutError as error:
            said = kubelet_trouble(self.module)
            lines = [
                error.message,
                *(["The kubelet's last complaints:"] if said else []),
                *(f"  {line}" for line in said),
            ]
            raise KubesteadError("\n".join(lines), kubelet_log=said) from error

    def _taken_back(self, one: Difference, error: KubesteadError, wait: t.Callable[[], t.Any]) -> KubesteadError:
        """The error of a change that was put back, and whether the service runs as before."""
        try:
            wait()
            after = f"{one.path} was put back and {one.service} runs as before."
        except KubesteadError as other:
            after = f"{one.path} was put back, but {one.service} is not well with it either: {other.message}"
        return KubesteadError(
            f"{one.service} does not run with its new settings. {error.message}\n{after} The nodes after this one were not touched. "
            "Correct the value in the inventory, then run the same again.",
            **error.details,
        )

    def _renew_certificate(self) -> None:
        """Have kubeadm make the API server's certificate anew beside the old one, then put it in its place.

        The API server takes it up by itself.
        """
        if not os.path.exists(f"{PKI}/ca.key"):
            raise KubesteadError(
                f"{PKI}/apiserver.crt is to have other names, and {PKI}/ca.key, which would sign it, is not on this node. Have your "
                "authority sign a certificate with these names, put it there with its key, and run the same again. Wanted: "
                + ", ".join(sorted(settings.names_of_certificate(self._documents, str(self.state.node_name))))
            )
        names = ("apiserver.key", "apiserver.crt")
        with secret_directory() as directory:
            for name in ("ca.crt", "ca.key"):
                shutil.copy(f"{PKI}/{name}", directory)
            documents = _with_certificates_in(directory, self._documents)
            config = write_secret(directory, "kubeadm.yaml", multi_document(documents))
            Kubeadm(self.module).run("init", "phase", "certs", "apiserver", "--config", config)
            for name in names:
                mode = os.stat(f"{PKI}/{name}").st_mode & 0o777
                _write(f"{PKI}/{name}", read_text(os.path.join(directory, name)) or "", mode)
        made = certificates(read_text(f"{PKI}/apiserver.crt") or "", "apiserver.crt")[0]
        wait_for(
            self._served,
            lambda served: served == made.der,
            f"the API server to show the certificate in {PKI}/apiserver.crt, which it takes up by itself",
            _CERTIFICATE_SECONDS,
            describe=lambda served: "another one." if served else "no answer.",
        )

    def _served(self) -> bytes:
        host, port = self.state.api_address
        with contextlib.suppress(OSError):
            return Certificate(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, port)))).der
        return b""


def _with_certificates_in(directory: str, documents: t.Iterable[settings.Document]) -> list[dict[str, t.Any]]:
    """The documents, for a kubeadm that is to look for certificates there."""
    return [
        {**one, **({"certificatesDir": directory} if one.get("kind") == settings.CLUSTER else {})} for one in documents
    ]


def _complaint(member: Member) -> str:
    """Why a member of etcd is not well; empty where it is."""
    try:
        status = Etcd(member.hosts, timeout=5).status()
    except KubesteadError as error:
        return error.message
    return "; ".join(str(error) for error in status.get("errors") or [])


def _service(path: str) -> str:
    return "kubelet" if path == KUBELET_CONFIGURATION else os.path.basename(path)[: -len(".yaml")]


def _moment(text: str) -> datetime.datetime:
    """The moment of a Lease, as 2026-11-21T06:30:00.123456Z."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


def _write(path: str, content: str, mode: int) -> None:
    """Put a file in place in one step. What stands beside it meanwhile begins with a dot, which the kubelet passes over."""
    descriptor, staged = tempfile.mkstemp(prefix=".kubestead-", dir=os.path.dirname(path))
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
        handle.write(content)
        handle.flush()
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    os.replace(staged, path)
