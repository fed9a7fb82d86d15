# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages off a machine, with their repositories, holds and configuration, and the settings that the roles wrote."""

from __future__ import annotations

import configparser
import os
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_runtime import CRI_DOCKERD, Runtime
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
    from ansible_collections.kubestead.cluster.plugins.module_utils._command import Outcome

RUNTIME_PACKAGES = (
    *("containerd.io", "containerd", "runc"),
    *("docker-ce", "docker-ce-cli", "docker.io", "docker-cli", "cri-dockerd"),
)
ANSIBLE_PACKAGE = "python3-apt"
SETTINGS = ("/etc/sysctl.d/99-kubestead.conf", "/etc/modules-load.d/kubestead.conf")
JOURNAL = "/etc/systemd/journald.conf.d/kubestead.conf"
COMPLETION = "/etc/bash_completion.d/kubectl"
CRI_UNITS = ("cri-docker.service", "cri-docker.socket")
DOCKER_CONFIG = "/etc/docker/daemon.json"
DOCKER_MARK = "written-by=Kubestead"
RUNTIME_FILES = (
    "/etc/systemd/system/containerd.service.d/kubestead.conf",
    "/etc/systemd/system/docker.service.d/kubestead.conf",
    "/etc/crictl.yaml",
    "/etc/containerd/config.toml",
)
_URIS = re.compile(r"^URIs:\s*(\S+)", re.MULTILINE)
_KEY = re.compile(r"^Signed-By:\s*(\S+)", re.MULTILINE)
_SUITE = re.compile(r"^Suites:\s*(\S+)", re.MULTILINE)
_REPOSITORY_NAMES = re.compile(r"^(Docker's packages|Kubernetes \d+\.\d+)$")


def list_prefix(source: str) -> str:
    """How the names of apt's lists of one source begin."""
    uri, suite = _URIS.search(source), _SUITE.search(source)
    if not uri or not suite:
        return ""
    address = uri.group(1).split("://", 1)[-1].strip("/")
    if suite.group(1) != "/":
        address += f"/dists/{suite.group(1)}"
    return address.replace("_", "%5f").replace("/", "_") + "_"


class Dpkg:
    """Packages of Debian's kind."""

    tool = "dpkg"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def installed(self, names: t.Sequence[str]) -> list[str]:
        """Those of the packages that are installed or have left configuration."""
        shown = self.machine.run(
            "dpkg-query", "--show", "--showformat=${Package}\t${db:Status-Status}\n", *names, check=False
        )
        pairs = [line.split("\t") for line in shown.stdout.splitlines()]
        return [name for name, status in pairs if status not in ("not-installed", "")]

    def removable(self, names: t.Sequence[str]) -> Outcome:
        """Whether the packages can go together, since nothing else needs them."""
        return self.machine.run("dpkg", "--no-act", "--purge", *names, check=False)

    def remove(self, names: t.Sequence[str]) -> Outcome:
        """Remove the packages with their configuration; held ones too, since it is we who held them."""
        return self.machine.run("dpkg", "--purge", *names, check=False, timeout=300)

    def companions(self, names: t.Sequence[str]) -> list[str]:
        """Packages that were installed because these need them."""
        shown = self.machine.run("dpkg-query", "--show", "--showformat=${Depends}\n", *names, check=False).stdout
        needed = {word.split()[0].split(":")[0] for word in re.split(r"[,|\n]", shown) if word.strip()}
        automatic = set(self.machine.ask("apt-mark", "showauto").split())
        return sorted((needed & automatic) - set(names))


class Rpm:
    """Packages of Red Hat's kind."""

    tool = "rpm"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def installed(self, names: t.Sequence[str]) -> list[str]:
        """Those of the packages that are installed."""
        return [name for name in names if self.machine.run("rpm", "--query", name, check=False).rc == 0]

    def removable(self, names: t.Sequence[str]) -> Outcome:
        """Whether the packages can go together, since nothing else needs them."""
        return self.machine.run("rpm", "--erase", "--test", *names, check=False)

    def remove(self, names: t.Sequence[str]) -> Outcome:
        """Remove the packages."""
        return self.machine.run("rpm", "--erase", *names, check=False, timeout=300)

    def companions(self, names: t.Sequence[str]) -> list[str]:
        """Unknown here: rpm does not tell why a package was installed."""
        return []


def package_manager(machine: Machine) -> t.Union[Dpkg, Rpm]:
    """The machine's package manager."""
    return Dpkg(machine) if machine.has("dpkg-query") else Rpm(machine)


def purge(manager: t.Union[Dpkg, Rpm], installed: t.Sequence[str]) -> None:
    """Remove packages, as soon as no other package manager is at work; an error where it refuses."""

    def attempt() -> Outcome:
        return manager.remove(installed)

    def done(outcome: Outcome) -> bool:
        return outcome.rc == 0 or "lock" not in outcome.stderr

    outcome = wait_for(attempt, done, "another package manager to finish", timeout=120, interval=2.0)
    if outcome.rc != 0:
        raise outcome.error("Settle what the package manager complains of, and run the same again.")


class PackagesCleanup:
    """Takes packages off one machine, and what the roles that installed them wrote beside them."""

    def __init__(self, machine: Machine, names: t.Sequence[str]) -> None:
        self.machine = machine
        self.names = list(names)
        self.manager = package_manager(machine)

    def clean(self) -> None:
        """Remove packages, then repositories, then what lies about."""
        runtime_stays = self._remove()
        self._clean_apt()
        self._clean_yum()
        self._clean_settings()
        if runtime_stays:
            self.machine.leave(f"the container runtime, its packages, configuration and images: {runtime_stays}")
        elif set(self._installed(RUNTIME_PACKAGES)) <= set(self.names):
            self._clean_runtime()
        self._reload_systemd()

    def _installed(self, names: t.Sequence[str]) -> list[str]:
        return self.manager.installed(names) if self.machine.has(self.manager.tool) else []

    def _remove(self) -> str:
        """Remove the packages; gives the reason where the runtime's must stay."""
        installed = self._installed(self.names)
        others = [name for name in installed if name not in RUNTIME_PACKAGES]
        reason = self._reason_to_stay(installed) if others != installed else ""
        self._remove_installed(others if reason else installed)
        return reason

    def _reason_to_stay(self, installed: t.Sequence[str]) -> str:
        """Why containerd must stay, if it must."""
        others = Runtime(self.machine).others()
        if others:
            return f"it runs containers in its namespace {', '.join(others)}"
        refused = self.manager.removable(installed)
        if refused.rc != 0:
            return "another package needs it (" + " ".join(refused.stderr.split("\n\n", maxsplit=1)[0].split()) + ")"
        return ""

    def _remove_installed(self, installed: t.Sequence[str]) -> None:
        if not installed:
            return
        companions = self.manager.companions(installed)
        if companions:
            self.machine.leave(
                f"{', '.join(companions)}: they came with the packages, and others may use them by now. "
                "`apt-get autoremove` removes those that nothing needs"
            )
        if self._installed([ANSIBLE_PACKAGE]):
            self.machine.leave(f"{ANSIBLE_PACKAGE}: Ansible's module for packages may have installed it, and needs it")
        if any(name in RUNTIME_PACKAGES for name in installed):
            self._take_cri_dockerd(packaged="cri-dockerd" in installed)
        for package, unit in (
            ("kubelet", "kubelet.service"),
            ("docker", "docker.socket"),
            ("docker", "docker.service"),
            ("containerd", "containerd.service"),
        ):
            if any(name.startswith(package) for name in installed):
                self.machine.stop_unit(unit)
                self.machine.disable_unit(unit)
        for name in installed:
            self.machine.take(f"package {name}", lambda: None)
        if not self.machine.module.check_mode:
            purge(self.manager, installed)
            self._unlink_units()

    def _take_cri_dockerd(self, *, packaged: bool) -> None:
        """Its units, which are no package's, and the program where it is none either."""
        if not self.machine.is_ours(CRI_DOCKERD):
            return
        for unit in CRI_UNITS:
            self.machine.stop_unit(unit)
            self.machine.disable_unit(unit)
            self.machine.take_file(f"/etc/systemd/system/{unit}")
        if not packaged:
            self.machine.take_file("/usr/bin/cri-dockerd")

    def _unlink_units(self) -> None:
        """A unit that somebody masked could not be disabled, and its package may not have done it either."""
        for unit in ("kubelet.service", "docker.service", "containerd.service"):
            for path in self.machine.glob(f"/etc/systemd/system/*.wants/{unit}"):
                if not os.path.exists(self.machine.path(path)):
                    os.unlink(self.machine.path(path))

    def _clean_apt(self) -> None:
        sources = self.machine.glob("/etc/apt/sources.list.d/*")
        ours = [path for path in sources if self.machine.is_ours(path)]
        texts = [self.machine.text(path) for path in ours]
        for path in ours:
            self.machine.take_file(path)
        others = "".join(self.machine.text(path) for path in [*sources, "/etc/apt/sources.list"] if path not in ours)
        for key in sorted({key for text in texts for key in _KEY.findall(text)}):
            if key in others:
                self.machine.leave(f"{key}: another package source is signed by it")
            else:
                self.machine.take_file(key)
        prefixes = [prefix for prefix in map(list_prefix, texts) if prefix]
        stale = [path for prefix in prefixes for path in self.machine.glob(f"/var/lib/apt/lists/{prefix}*")]
        stale += [path for name in self.names for path in self.machine.glob(f"/var/cache/apt/archives/{name}_*.deb")]
        self.machine.take_files(stale, "apt's lists and its cache")

    def _clean_yum(self) -> None:
        for path in self.machine.glob("/etc/yum.repos.d/*.repo"):
            if path.rsplit("/", 1)[-1] not in ("docker-ce-stable.repo", "kubernetes.repo"):
                continue
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            parser.read_string(self.machine.text(path))
            if all(_REPOSITORY_NAMES.match(parser.get(section, "name", fallback="")) for section in parser.sections()):
                self.machine.take_file(path)
                self.machine.leave(
                    "the keys of the package repositories in rpm's database: `rpm --query gpg-pubkey` lists them"
                )

    def _clean_settings(self) -> None:
        settings = self.machine.text(SETTINGS[0])
        names = [
            line.split("=")[0].strip() for line in settings.splitlines() if "=" in line and not line.startswith("#")
        ]
        modules = self.machine.text(SETTINGS[1]).split()
        for path in SETTINGS:
            self.machine.take_file(path)
        for path in (COMPLETION, JOURNAL):
            if self.machine.is_ours(path):
                self.machine.take_file(path)
                self.machine.take_empty(os.path.dirname(path))
        if names:
            self.machine.leave(f"kernel settings, as they are until the next boot: {', '.join(names)}")
        loaded = {line.split(" ", 1)[0] for line in self.machine.text("/proc/modules").splitlines()}
        if loaded & set(modules):
            self.machine.leave(
                f"kernel modules, loaded until the next boot: {', '.join(sorted(loaded & set(modules)))}"
            )

    def _clean_runtime(self) -> None:
        hosts = [
            path for path in self.machine.glob("/etc/containerd/certs.d/*/hosts.toml") if self.machine.is_ours(path)
        ]
        for path in [*hosts, *RUNTIME_FILES]:
            if self.machine.is_ours(path):
                self.machine.take_file(path)
        if DOCKER_MARK in self.machine.text(DOCKER_CONFIG):
            self.machine.take_file(DOCKER_CONFIG)
            self._clean_docker()
        folders = [path.rsplit("/", 1)[0] for path in hosts]
        self.machine.take_empty(
            *folders, "/etc/containerd/certs.d", "/etc/containerd", "/etc/systemd/system/containerd.service.d"
        )
        for folder in ("/var/lib/containerd", "/run/containerd", "/run/nri"):
            self.machine.take_folder(folder)
        self.machine.take_empty("/opt/containerd/bin", "/opt/containerd/lib", "/opt/containerd")
        self.machine.take_empty("/opt/cni/bin", "/opt/cni", "/etc/cni/net.d", "/etc/cni")

    def _clean_docker(self) -> None:
        """What Docker and cri-dockerd have kept, after they are gone."""
        self.machine.take_file("/etc/docker/key.json")
        self.machine.take_empty("/etc/docker", "/etc/systemd/system/docker.service.d")
        for folder in ("/run/docker", "/var/lib/docker", "/var/lib/cri-dockerd"):
            self.machine.unmount_below(folder)
            self.machine.take_folder(folder)
        for path in ("/run/docker.sock", "/run/docker.pid", "/run/cri-dockerd.sock"):
            self.machine.take_file(path)
        # Its package leaves it, and its members would be mighty again with the next Docker.
        if self.machine.ask("getent", "group", "docker"):
            self.machine.take("group docker", lambda: self.machine.run("groupdel", "docker", check=False))

    def _reload_systemd(self) -> None:
        if self.machine.removed and not self.machine.module.check_mode and self.machine.has("systemctl"):
            self.machine.run("systemctl", "daemon-reload", check=False, timeout=60)
            self.machine.run(
                "systemctl", "reset-failed", "kubelet.service", "containerd.service", check=False, timeout=60
            )
