# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods off a machine: by the container runtime where it answers, and what is left of them by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import several
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

NAMESPACE = "k8s.io"
# The role writes it for cri-dockerd, which has nothing to do on a machine where Docker is not Kubernetes' runtime.
CRI_DOCKERD = "/etc/systemd/system/cri-docker.service"
_OURS = "--filter=label=io.kubernetes.pod.uid"
_CGROUPS = ("/sys/fs/cgroup/kubepods*", "/sys/fs/cgroup/*/kubepods*")


class Runtime:
    """containerd or Docker on one machine, and the pods that it runs for Kubernetes."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.docker = machine.is_ours(CRI_DOCKERD)
        self.socket = "/run/cri-dockerd.sock" if self.docker else "/run/containerd/containerd.sock"
        self._units = ("docker.service", "cri-docker.service") if self.docker else ("containerd.service",)
        self._crictl = ("--runtime-endpoint", f"unix://{self.socket}", "--timeout", "60s")

    def clean(self) -> None:
        """Take off all pods, their processes and their control groups."""
        if self._answers():
            self._remove_pods()
            self._remove_containers()
        self._kill_rest()
        for path in (
            "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
            "/run/containerd/io.containerd.grpc.v1.cri",
        ):
            self.machine.unmount_below(path)
        self._remove_cgroups()

    def others(self) -> list[str]:
        """Namespaces of containerd, other than Kubernetes', in which somebody has containers; Docker's is moby."""
        names = set(self._ctr_list("namespaces")) - {NAMESPACE}
        if self.docker:
            names -= {"moby"}
            if set(self._docker_list()) - set(self._docker_list(_OURS)):
                return ["moby"]
        return sorted(name for name in names if self._ctr_list("--namespace", name, "containers"))

    def _answers(self) -> bool:
        """Whether the runtime runs; one that was stopped is started if it still has pods, since it removes them best."""
        states = [self.machine.unit(unit) for unit in self._units]
        if all(state.get("ActiveState") == "active" for state in states):
            return True
        pods = self._cgroups() if self.docker else self._shims()
        if any(state.get("LoadState") != "loaded" for state in states) or not pods or self.machine.module.check_mode:
            return False
        return self.machine.run("systemctl", "start", *self._units, check=False, timeout=60).rc == 0

    def _remove_pods(self) -> None:
        if not self.machine.has("crictl"):
            return
        pods = [
            pod["id"]
            for document in self.machine.ask_json("crictl", *self._crictl, "pods", "--output", "json")
            for pod in document.get("items") or []
        ]
        if pods:
            # What crictl cannot remove, a pod whose network is gone for instance, the next steps do.
            self.machine.take(
                several(len(pods), "pod"),
                lambda: self.machine.run("crictl", *self._crictl, "rmp", "--force", *pods, check=False, timeout=180),
            )

    def _remove_containers(self) -> None:
        containers = self._containers()
        if containers and self.machine.module.check_mode:
            return
        if containers:
            self.machine.take(several(len(containers), "container"), lambda: self._delete_containers(containers))

    def _containers(self) -> list[str]:
        return self._docker_list(_OURS) if self.docker else self._ctr_list("--namespace", NAMESPACE, "containers")

    def _delete_containers(self, containers: t.Sequence[str]) -> None:
        if self.docker:
            self.machine.run("docker", "rm", "--force", "--volumes", *containers, check=False, timeout=180)
        else:
            base = ("--namespace", NAMESPACE)
            for container in containers:
                self.machine.run("ctr", *base, "tasks", "delete", "--force", container, check=False, timeout=30)
                self.machine.run("ctr", *base, "containers", "delete", container, check=False, timeout=30)
        rest = self._containers()
        if rest:
            name = "Docker" if self.docker else "containerd"
            raise KubesteadError(
                f"{name} keeps {len(rest)} containers of Kubernetes ({', '.join(rest[:3])}). "
                f"Restart it (`systemctl restart {name.lower()}`) and run the same again."
            )

    def _docker_list(self, *filters: str) -> list[str]:
        return self.machine.ask("docker", "ps", "--all", "--quiet", *filters).split()

    def _ctr_list(self, *noun: str) -> list[str]:
        return self.machine.ask("ctr", *noun, "list", "--quiet").split()

    def _shims(self) -> list[int]:
        """Processes that watch over Kubernetes' containers."""
        found = []
        for path in self.machine.glob("/proc/[0-9]*/cmdline"):
            words = self.machine.text(path).split("\0")
            if "containerd-shim" in words[0] and NAMESPACE in words:
                found.append(int(path.split("/")[2]))
        return found

    def _cgroups(self) -> list[str]:
        """All control groups of pods, the innermost first."""
        tops = [self.machine.path(path) for pattern in _CGROUPS for path in self.machine.glob(pattern)]
        return [folder for top in tops for folder, _folders, _files in os.walk(top, topdown=False)]

    def _processes(self) -> list[int]:
        """Processes in the control groups of pods, and the shims."""
        found = set(self._shims())
        for folder in self._cgroups():
            with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as handle:
                found.update(int(line) for line in handle if line.strip() != "0")
        return sorted(found)

    def _kill_rest(self) -> None:
        processes = self._processes()
        # In check mode these are the pods' own, which were told of already.
        if processes and not (self.machine.module.check_mode and self.machine.removed):
            self.machine.take(f"processes of pods ({len(processes)})", self._kill)

    def _kill(self) -> None:
        def attempt() -> list[int]:
            processes = self._processes()
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return processes

        wait_for(attempt, lambda processes: not processes, "the processes of pods to end", timeout=30, interval=0.2)

    def _remove_cgroups(self) -> None:
        if self.machine.module.check_mode:
            return
        if self.machine.unit("kubepods.slice").get("ActiveState") == "active":
            self.machine.run("systemctl", "stop", "kubepods.slice", check=False, timeout=30)
        for folder in self._cgroups():
            with contextlib.suppress(OSError):
                os.rmdir(folder)
