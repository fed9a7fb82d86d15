# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm init and kubeadm join have in common: when they run, how they are marked, timed and explained."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import PKI, Etcd, host_of, hosts_of_manifest
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import (
    ADMIN_CONF,
    Kubeadm,
    PhaseClock,
    explain,
    list_flags,
    multi_document,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState, read_text
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import (
    SECRETS_PATH,
    Marker,
    forget_secrets,
    node_lock,
    secret_directory,
    write_secret,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._node_state import json_or_empty

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


# kubeadm writes it for everybody to read, and keeps the mode of one that is there.
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
# Its folder may be a disk of its own, which kubeadm finds and takes as it is.
ETCD_DATA = "/var/lib/etcd"
_CLIENT_URLS = "kubeadm.kubernetes.io/etcd.advertise-client-urls"


class NodeOperation:
    """Makes this node a member of a cluster, once, and leaves no doubt about how far it came.

    Subclasses say which kubeadm command it is, and with which configuration.
    """

    operation = ""
    role = ""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.kubeadm = Kubeadm(module)
        self.state = KubernetesState()
        self.marker = Marker()
        self.result: dict[str, t.Any] = {"changed": False, "phases": [], "warnings": []}

    def documents(self) -> list[dict[str, t.Any]]:
        """The configuration for kubeadm, secrets included."""
        raise NotImplementedError

    def check_surroundings(self) -> None:
        """Raise where what lies outside this node forbids to begin."""

    def finish(self, succeeded: bool) -> None:
        """Take back what was only needed during the operation."""

    def perform(self) -> dict[str, t.Any]:
        """Bring the node there; gives the module's result."""
        timeout = float(self.module.params["timeout"])
        if not self.state.busy and self._settled():
            return self.result
        if self.module.check_mode:
            return self._predict()
        with node_lock(timeout) as lock:
            forget_secrets()
            # Whoever held the lock may have done our work.
            if self._settled():
                return self.result
            if self.state.interrupted == self.operation and self._complete():
                self._finished()
                self.result.update(changed=True, ca_hash=self.state.ca_hash, node_name=self.state.node_name)
                return self.result
            with secret_directory() as directory:
                self._run(directory, lock, timeout)
        self.result.update(changed=True, ca_hash=self.state.ca_hash, node_name=self.state.node_name)
        return self.result

    def _settled(self) -> bool:
        """Whether the node is a member in the wanted role already; raises where it must not be touched."""
        stage = self.state.stage
        self.result.update(stage_before=stage, ca_hash=self.state.ca_hash, node_name=self.state.node_name)
        if stage == "partial":
            raise KubesteadError(self.state.recovery(), stage_before=stage, traces=self.state.traces)
        if stage != "member":
            return False
        if self.state.role != self.role:
            words = {"control_plane": "control plane", "worker": "worker"}
            raise KubesteadError(
                f"This node is already a {words[str(self.state.role)]} of the cluster at {self.state.server}, and is to become a "
                f"{words[self.role]}. A node cannot change its part: remove it from the cluster (`kubectl drain`, `kubectl delete node`), "
                "run `kubeadm reset --force` on it, then the same again.",
                stage_before=stage,
            )
        self._check_cluster()
        return True

    def _complete(self) -> bool:
        """Whether an interrupted attempt of the same operation had in truth come to its end, or can be brought there."""
        return False

    def _check_cluster(self) -> None:
        """Raise where the node is a member of another cluster than the wanted one."""

    def _predict(self) -> dict[str, t.Any]:
        if self.kubeadm.present:
            with secret_directory(f"{SECRETS_PATH}-check") as directory:
                self._validated(directory)
        self.result["changed"] = True
        return self.result

    def _validated(self, directory: str) -> str:
        path = write_secret(directory, "kubeadm.yaml", multi_document(self.documents()))
        self.result["warnings"] += self.kubeadm.validate(path)
        return path

    def _run(self, directory: str, lock: int, timeout: float) -> None:
        config = self._validated(directory)
        if self.result["stage_before"] == "interrupted":
            self._clean_up()
        else:
            self.check_surroundings()
        self.marker.write(self.operation)
        clock = PhaseClock()
        start = time.monotonic()
        succeeded = False
        try:
            self.kubeadm.run(*self.arguments(config), timeout=timeout, on_line=clock.line, pass_fds=[lock])
            succeeded = True
        except KubesteadError as error:
            explained = explain(self.module, error, self.operation, self.recovery())
            explained.details.update(phases=clock.phases(time.monotonic()), stage_before=self.result["stage_before"])
            raise explained from error
        finally:
            end = time.monotonic()
            self.finish(succeeded)
        self._finished()
        self.result.update(phases=clock.phases(end), seconds=round(end - start, 2))

    def _finished(self) -> None:
        """Leave to root what kubeadm leaves open to everybody, and take the mark away."""
        with contextlib.suppress(FileNotFoundError):
            os.chmod(KUBELET_CONFIG, 0o600)
        if os.path.isdir(f"{ETCD_DATA}/member"):
            os.chmod(ETCD_DATA, 0o700)
        self.marker.remove()

    def arguments(self, config: str) -> list[str]:
        """The arguments of kubeadm."""
        return [self.operation, "--config", config, *list_flags(self.module.params)]

    def recovery(self) -> str:
        """How to get on after a failure."""
        return (
            "To go on, remove the cause and run the same again: what this attempt left is reset first. "
            "To give up instead, run `kubeadm reset --force` on this node and remove /var/lib/kubestead."
        )

    def _clean_up(self) -> None:
        """Undo what an interrupted attempt left, here and in the cluster."""
        if self.state.interrupted == "join":
            # With an etcd of the user's own there are no such certificates, and no member.
            if os.path.exists(f"{PKI}/healthcheck-client.key"):
                self._leave_etcd()
            self._leave_cluster()
        self.kubeadm.reset(
            self.cri_socket(), keep_etcd=bool(self.state.external_etcd or external_etcd(self.documents()))
        )

    def _leave_etcd(self) -> None:
        """Take this node's member out of etcd.

        kubeadm's reset does so only for a node that the cluster knows already, and deletes the member's data in any
        case: the member would stay, and count for the majority for ever.
        """
        addresses = {interface["local"] for interface in local_addresses(self.module)}
        hosts = [host for host in self._etcd_hosts() if host not in addresses]
        if not hosts:
            return
        etcd = Etcd(hosts)
        try:
            for member in etcd.members():
                if addresses & set(member.hosts):
                    etcd.remove(member)
                    self.result["removed_member"] = member.name or member.id
        except KubesteadError as error:
            raise KubesteadError(
                f"The interrupted join may have left this node's member in etcd, and that cannot be taken back now: {error.message} "
                "Resetting this node nevertheless could cost etcd its majority. Bring the other control planes' etcd up, then run "
                "the same again. If they are gone for good, run `kubeadm reset --force` on this node and remove /var/lib/kubestead.",
                stale_member=True,
                stage_before=self.result["stage_before"],
            ) from error

    def _etcd_hosts(self) -> list[str]:
        """The hosts of etcd's members: those in this node's manifest, and those that the cluster knows of."""
        hosts = hosts_of_manifest(read_text("/etc/kubernetes/manifests/etcd.yaml") or "")
        if not hosts and os.path.exists(ADMIN_CONF):
            pods = Kubectl(self.module, ADMIN_CONF).get("pods", "--namespace=kube-system", "--selector=component=etcd")
            urls = [pod["metadata"].get("annotations", {}).get(_CLIENT_URLS, "") for pod in pods]
            hosts = [host_of(url) for url in urls if url]
        return hosts

    def _leave_cluster(self) -> None:
        """Delete this node's entry in the cluster, whose name would else be refused for as long as it seems ready."""
        name = self.state.node_name
        if name and os.path.exists(ADMIN_CONF):
            kubectl = Kubectl(self.module, ADMIN_CONF)
            kubectl.run("delete", "node", name, "--ignore-not-found", "--wait=false", check=False, timeout=60)

    def cri_socket(self) -> t.Optional[str]:
        """The socket of the container runtime, where the configuration names one."""
        for document in self.documents():
            socket = document.get("nodeRegistration", {}).get("criSocket")
            if socket:
                return str(socket)
        return None


def external_etcd(documents: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """The etcd of the user's own that kubeadm's configuration names; empty where it names none."""
    for document in documents:
        if document.get("kind") == "ClusterConfiguration":
            return dict((document.get("etcd") or {}).get("external") or {})
    return {}


def local_addresses(module: AnsibleModule) -> list[dict[str, t.Any]]:
    """The addresses of this machine, as `ip -j address` describes them."""
    _rc, stdout, _stderr = module.run_command([module.get_bin_path("ip", required=True), "-j", "address", "show"])
    return [address for link in json_or_empty(stdout) for address in link.get("addr_info", [])]


def conclude(module: AnsibleModule, work: t.Callable[[], dict[str, t.Any]]) -> t.NoReturn:
    """Run a module's work, and end the module with its result or its error."""
    try:
        result = work()
    except KubesteadError as error:
        module.fail_json(msg=error.message, **error.details)
        raise AssertionError("fail_json does not return") from error
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")
