# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster off a machine: what kubeadm, the kubelet, the pods and their network have put there."""

from __future__ import annotations

import base64
import os
import pwd
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_counters import remove_counters
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_firewall import Firewall
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_network import Network
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_runtime import Runtime
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import Kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import CACHE_PATH
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import KubernetesState
from ansible_collections.kubestead.cluster.plugins.module_utils._lock import SECRETS_PATH

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

ETCD_FOLDER = "/var/lib/etcd"
FOLDERS = (
    *("/var/lib/kubelet", ETCD_FOLDER, "/etc/kubernetes", "/var/lib/cni", "/var/lib/calico", "/var/lib/kubestead"),
    *("/run/flannel", "/run/calico", "/var/log/calico", "/var/log/pods", "/var/log/containers", "/var/log/kubernetes"),
    *(SECRETS_PATH, CACHE_PATH, "/usr/local/lib/kubestead"),
)
SNAPSHOT_TIMER = "kubestead-etcd-snapshot"
CNI_FILES = (
    *("/etc/cni/net.d/10-flannel.conflist", "/etc/cni/net.d/10-calico.conflist", "/etc/cni/net.d/calico-kubeconfig"),
    *("/opt/cni/bin/flannel", "/opt/cni/bin/calico", "/opt/cni/bin/calico-ipam"),
)
_PLUGINS = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
_ENTRY = re.compile(r"^[\s-]*(?P<key>certificate-authority-data|server):\s*[\"']?(?P<value>[^\s\"']+)", re.MULTILINE)
_NAMED = re.compile(r"^clusters:\n(?:[ -].*\n)*?  name:\s*[\"']?(?P<name>[^\s\"']+)", re.MULTILINE)
_DATA_DIR = re.compile(r"--data-dir=([^\s\"']+)")
_ETCD_PREFIX = re.compile(r"--etcd-prefix=([^\s\"']+)")
_ETCD_FAILED = "Failed to remove etcd member"


class Kubeconfig(t.NamedTuple):
    """What a kubeconfig file says of its clusters, in the flat form in which kubeadm and kubectl write it."""

    authorities: list[str]
    servers: list[str]
    name: str

    @classmethod
    def parse(cls, text: str) -> Kubeconfig:
        """Read it; authorities are as they stand there, DER or PEM in base64."""
        entries = [(match["key"], match["value"]) for match in _ENTRY.finditer(text)]
        named = _NAMED.search(text)
        return cls(
            [value for key, value in entries if key != "server"],
            [value.rstrip("/") for key, value in entries if key == "server"],
            named["name"] if named else "",
        )


def without_block(text: str, name: str) -> t.Optional[str]:
    """The hosts file without the lines that we put there for a cluster; None where their end is not marked."""
    begin, end = f"# BEGIN {name} (Kubestead)", f"# END {name} (Kubestead)"
    lines = text.splitlines(keepends=True)
    marks = [line.strip() for line in lines]
    while begin in marks:
        first = marks.index(begin)
        if end not in marks[first:]:
            return None
        last = marks.index(end, first) + 1
        del lines[first:last], marks[first:last]
    return "".join(lines)


class ClusterCleanup:
    """Takes one cluster off one machine; what is found is judged by this cluster's name, servers and authority."""

    def __init__(self, machine: Machine, params: t.Mapping[str, t.Any]) -> None:
        self.machine = machine
        self.name: str = params["cluster_name"]
        self.servers = {f"https://{server}" for server in params["servers"]}
        self.pod_cidrs: list[str] = params["pod_cidrs"]
        self.users: list[str] = params["admin_users"]
        self.whole_cluster: bool = params["whole_cluster"]
        self.external_etcd: list[str] = params["external_etcd"]
        self.state = KubernetesState(machine.root)
        self.authority = self._authority()

    def refuse_foreign(self) -> None:
        """An error where the machine is a member of another cluster, before anything is changed."""
        admin = Kubeconfig.parse(self.machine.text("/etc/kubernetes/admin.conf"))
        kubelet = Kubeconfig.parse(self.machine.text("/etc/kubernetes/kubelet.conf"))
        servers = {*admin.servers, *kubelet.servers}
        if not servers or servers & self.servers or admin.name == self.name:
            return
        of = f"the cluster {admin.name}" if admin.name else "a cluster"
        raise KubesteadError(
            f"This machine is a member of {of} with its API server at {', '.join(sorted(servers))}, and not of {self.name} "
            f"({', '.join(sorted(self.servers))}). Nothing was changed. If the inventory names the wrong machine, correct it. "
            f"If the machine is to be reset all the same, run `kubeadm reset --force` on it first."
        )

    def clean(self) -> None:
        """Take the cluster off."""
        data_dirs = _DATA_DIR.findall(self.machine.text("/etc/kubernetes/manifests/etcd.yaml"))
        self._leave_external_etcd()
        self._remove_timer()
        self.machine.stop_unit("kubelet.service")
        self._kubeadm_reset()
        Runtime(self.machine).clean()
        Network(self.machine, self.pod_cidrs).clean()
        Firewall(self.machine).clean()
        remove_counters(self.machine)
        self._clean_kubeconfigs()
        self._clean_files(data_dirs)
        self._clean_hosts()

    def _authority(self) -> str:
        """The cluster's authority, as kubeconfig files carry it; nothing where it is gone already."""
        pem = self.machine.text("/etc/kubernetes/pki/ca.crt")
        if pem:
            return base64.b64encode(pem.encode()).decode()
        for path in ("/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"):
            authorities = Kubeconfig.parse(self.machine.text(path)).authorities
            if authorities:
                return authorities[0]
        return ""

    def _remove_timer(self) -> None:
        """The timer that takes snapshots of etcd."""
        timer, service = (f"/etc/systemd/system/{SNAPSHOT_TIMER}.{kind}" for kind in ("timer", "service"))
        if self.machine.text(timer):
            self.machine.disable_unit(os.path.basename(timer))
            self.machine.stop_unit(os.path.basename(timer))
            self.machine.take_file(timer)
            self.machine.take_file(service)
            if not self.machine.module.check_mode:
                self.machine.run("systemctl", "daemon-reload", check=False, timeout=60)

    def _leave_external_etcd(self) -> None:
        if not self.external_etcd or not self.whole_cluster or self.state.role != "control_plane":
            return
        manifest = self.machine.text("/etc/kubernetes/manifests/kube-apiserver.yaml")
        prefix = _ETCD_PREFIX.search(manifest)
        self.machine.leave(
            f"the cluster's data in etcd at {', '.join(self.external_etcd)}, which is not ours to remove. A new cluster there "
            f"wants it gone: `etcdctl del --prefix {prefix[1].rstrip('/') if prefix else '/registry'}/` removes it"
        )

    def _kubeadm_reset(self) -> None:
        traces = self.state.traces or self.state.interrupted or self.machine.text("/var/lib/kubelet/config.yaml")
        if traces and self.machine.has("kubeadm"):
            self.machine.take("membership in the cluster (kubeadm reset)", self._run_kubeadm)

    def _run_kubeadm(self) -> None:
        # Members that all go at once must not wait for each other's votes, and an etcd of the user's own has none of ours.
        skip = ("--skip-phases=remove-etcd-member",) if self.whole_cluster or self.external_etcd else ()
        outcome = Kubeadm(self.machine.module).run(
            "reset", "--force", f"--cri-socket=unix://{Runtime(self.machine).socket}", *skip, check=False, timeout=300
        )
        if not self.whole_cluster and _ETCD_FAILED in outcome.stdout + outcome.stderr:
            self.machine.leave(
                "this machine's membership in etcd: the other members did not answer. "
                "Remove it with `etcdctl member remove` on a control plane that stays"
            )

    def _clean_files(self, data_dirs: t.Sequence[str]) -> None:
        for path in CNI_FILES:
            self.machine.take_file(path)
        ours = [folder for folder in FOLDERS if folder != ETCD_FOLDER or not self.external_etcd]
        for folder in dict.fromkeys((*ours, *data_dirs)):
            self.machine.take_folder(folder)
        for path in self.machine.glob("/etc/cni/net.d/*"):
            self.machine.leave(f"{path}: another pod network's")
        self.machine.take_empty("/etc/cni/net.d", "/etc/cni", "/opt/cni/bin", "/opt/cni")
        parts = _PLUGINS.split("/")
        self.machine.take_empty(*("/".join(parts[:count]) for count in range(len(parts), 3, -1)))
        # kube-proxy makes this one where the kernel has no modules.
        self.machine.take_empty("/usr/lib/modules")

    def _clean_kubeconfigs(self) -> None:
        for user in self.users:
            try:
                home = pwd.getpwnam(user).pw_dir
            except KeyError:
                continue
            self._clean_kubeconfig(os.path.join(home, ".kube"))

    def _clean_kubeconfig(self, folder: str) -> None:
        path = f"{folder}/config"
        found = Kubeconfig.parse(self.machine.text(path))
        if found.servers and self._is_ours(found):
            self.machine.take_file(path)
            self.machine.take_folder(f"{folder}/cache")
        elif self.machine.text(path):
            self.machine.leave(
                f"{path}: it names another cluster" + (" beside this one" if self._is_partly_ours(found) else "")
            )
        self.machine.take_empty(folder)

    def _is_ours(self, found: Kubeconfig) -> bool:
        if self.authority:
            return set(found.authorities) == {self.authority}
        return set(found.servers) <= self.servers

    def _is_partly_ours(self, found: Kubeconfig) -> bool:
        return self.authority in found.authorities or bool(self.servers & set(found.servers))

    def _clean_hosts(self) -> None:
        text = self.machine.text("/etc/hosts")
        rest = without_block(text, self.name)
        if rest is None:
            self.machine.leave(
                f"the lines of {self.name} in /etc/hosts: the mark at their end is gone, so nobody can tell where they end"
            )
        elif rest != text:
            self.machine.rewrite("/etc/hosts", rest, f"lines of {self.name} in /etc/hosts")
