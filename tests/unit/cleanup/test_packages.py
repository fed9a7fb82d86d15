from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_packages import PackagesCleanup, list_prefix
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

NAMES = ["kubeadm", "kubelet", "kubectl", "cri-tools", "kubernetes-cni", "containerd.io"]
REFUSED = """\
dpkg: dependency problems prevent removal of containerd.io:
 docker-ce depends on containerd.io (>= 1.7.27).

dpkg: error processing package containerd.io (--purge):
 dependency problems - not removing
"""


def dpkg(installed: list[str], **more: Any) -> dict[str, Any]:
    """The answers of a Debian machine on which these packages are installed."""
    shown = "".join(f"{name}\tinstalled\n" for name in installed)
    query = "dpkg-query --show --showformat=${Package}\t${db:Status-Status}\n"
    answers: dict[str, Any] = {"dpkg": "", "dpkg-query": "", query: (1, shown, "no packages found matching x")}
    return answers | {"apt-mark showauto": "", "ctr namespaces list": "default\nk8s.io\n", "ctr": ""} | more


def test_packages_go_together_held_or_not(machine: Callable[..., Machine]) -> None:
    here = machine(dpkg(NAMES))
    PackagesCleanup(here, NAMES).clean()
    fake: Any = here.module
    assert fake.ran("dpkg --purge " + " ".join(NAMES))
    assert here.removed[: len(NAMES)] == [f"package {name}" for name in NAMES]


def test_units_that_point_nowhere_are_not_left(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/lib/systemd/system/kubelet.service", "")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for name in ("containerd", "kubelet"):
        (wants / f"{name}.service").symlink_to(root / f"lib/systemd/system/{name}.service")
    PackagesCleanup(machine(dpkg(NAMES)), NAMES).clean()
    assert [path.name for path in wants.iterdir()] == ["kubelet.service"]


def test_where_nothing_is_installed_nothing_is_run(machine: Callable[..., Machine]) -> None:
    here = machine(dpkg([]))
    PackagesCleanup(here, NAMES).clean()
    fake: Any = here.module
    assert here.removed == []
    assert not [line for line in fake.commands if line.startswith(("dpkg ", "systemctl"))]


def test_containerd_stays_where_another_package_needs_it(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    config = write("/etc/containerd/config.toml", "# Written by Kubestead.\n")
    here = machine(dpkg(NAMES, **{"dpkg --no-act --purge": (1, "", REFUSED)}))
    PackagesCleanup(here, NAMES).clean()
    fake: Any = here.module
    assert fake.ran("dpkg --purge " + " ".join(NAMES[:-1]))
    assert not [line for line in fake.commands if line.startswith("dpkg --purge") and "containerd.io" in line]
    assert config.exists()
    assert "docker-ce depends on containerd.io" in here.left[-1]


def test_containerd_stays_where_somebody_else_has_containers_in_it(machine: Callable[..., Machine]) -> None:
    here = machine(dpkg(NAMES, **{"ctr --namespace default containers list": "mine\n"}))
    PackagesCleanup(here, NAMES).clean()
    assert "package containerd.io" not in here.removed
    assert "namespace default" in here.left[-1]


def test_a_runtime_that_is_not_ours_keeps_its_data(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    data = write("/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "x")
    PackagesCleanup(machine(dpkg(["kubeadm", "containerd"])), NAMES).clean()
    assert data.exists()


def test_a_package_manager_that_refuses_is_quoted(machine: Callable[..., Machine]) -> None:
    answers = dpkg(["kubeadm"], **{"dpkg --purge": (1, "", "dpkg: error: post-removal script said 3")})
    with pytest.raises(KubesteadError, match="post-removal script said 3"):
        PackagesCleanup(machine(answers), ["kubeadm"]).clean()


def test_names_of_apts_lists_follow_from_the_source(recorded: Callable[[str], str]) -> None:
    prefixes = [list_prefix(recorded(name)) for name in ("kubernetes.sources", "docker.sources")]
    names = recorded("apt-lists.txt").split()
    assert len(names) == 4
    assert all(sum(name.startswith(prefix) for prefix in prefixes) == 1 for name in names)
    assert list_prefix("URIs: http://192.0.2.1/\n") == ""


def test_our_package_sources_go_with_key_and_lists(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], recorded: Callable[[str], str], root: Path
) -> None:
    for name in ("kubernetes.sources", "docker.sources"):
        write(f"/etc/apt/sources.list.d/{name}", recorded(name))
    for name in recorded("apt-lists.txt").split():
        write(f"/var/lib/apt/lists/{name}", "")
    kept = [
        write("/etc/apt/sources.list.d/own.sources", "Signed-By: /etc/apt/keyrings/docker.asc\n"),
        write("/etc/apt/keyrings/docker.asc", ""),
        write("/var/lib/apt/lists/192.0.2.1_debian_dists_bookworm_InRelease", ""),
        write("/var/cache/apt/archives/kubectl-convert_1_all.deb", ""),
    ]
    gone = [
        write("/etc/apt/keyrings/kubernetes.asc", ""),
        write("/var/cache/apt/archives/kubectl_1.36.4_amd64.deb", ""),
    ]
    here = machine(dpkg([]))
    PackagesCleanup(here, NAMES).clean()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    assert [path.name for path in (root / "var/lib/apt/lists").iterdir()] == [kept[2].name]
    assert "/etc/apt/keyrings/docker.asc: another package source is signed by it" in here.left


def test_a_repository_of_rpms_is_known_by_its_name(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    ours = [
        write("/etc/yum.repos.d/kubernetes.repo", "[kubernetes]\nname = Kubernetes 1.36\nbaseurl = https://x/%y/\n"),
        write("/etc/yum.repos.d/docker-ce-stable.repo", "[docker-ce-stable]\nname = Docker's packages\n"),
    ]
    own = write("/etc/yum.repos.d/own.repo", "[kubernetes]\nname = Kubernetes 1.36\n")
    PackagesCleanup(machine({"rpm": (1, "", "not installed")}), NAMES).clean()
    assert not any(path.exists() for path in ours)
    assert own.exists()
    write("/etc/yum.repos.d/kubernetes.repo", "[kubernetes]\nname=Kubernetes\n")
    here = machine({"rpm": (1, "", "not installed")})
    PackagesCleanup(here, NAMES).clean()
    assert here.removed == []


def test_files_that_are_not_marked_stay(machine: Callable[..., Machine], write: Callable[[str, str], Path]) -> None:
    kept = [
        write("/etc/crictl.yaml", "runtime-endpoint: unix:///run/crio/crio.sock\n"),
        write("/etc/containerd/config.toml", "version = 3\n# Written by Kubestead.\n"),
        write("/etc/containerd/certs.d/example.org/hosts.toml", 'server = "https://example.org"\n'),
        write("/etc/bash_completion.d/kubectl", "source <(kubectl completion bash)\n"),
    ]
    gone = [
        write(
            "/etc/containerd/certs.d/docker.io/hosts.toml", "# Written by Kubestead. Hosts are asked in this order.\n"
        ),
        write("/etc/systemd/system/containerd.service.d/kubestead.conf", "# Written by Kubestead.\n[Service]\n"),
        write("/etc/sysctl.d/99-kubestead.conf", "# Written by Kubestead.\nnet.ipv4.ip_forward = 1\n"),
        write("/etc/systemd/journald.conf.d/kubestead.conf", "# Written by Kubestead. The journal is in memory.\n"),
    ]
    here = machine(dpkg([]))
    PackagesCleanup(here, NAMES).clean()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    assert not gone[0].parent.exists()
    assert "net.ipv4.ip_forward" in here.left[0]


def test_docker_goes_with_all_that_it_kept(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    names = [*NAMES[:-1], "docker.io", "containerd", "runc", "cri-dockerd"]
    write("/etc/docker/daemon.json", '{"labels": ["written-by=Kubestead"]}\n')
    for unit in ("cri-docker.service", "cri-docker.socket", "docker.service.d/kubestead.conf"):
        write(f"/etc/systemd/system/{unit}", "# Written by Kubestead.\n")
    write("/var/lib/docker/image/a", "")
    write("/var/lib/cri-dockerd/sandbox/a", "")
    write("/usr/bin/cri-dockerd", "the package's")
    here = machine(dpkg(names, docker="", getent="docker:x:999:ada\n", groupdel=""))
    PackagesCleanup(here, names).clean()
    fake: Any = here.module
    assert fake.ran("groupdel docker")
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert left == ["usr/bin/cri-dockerd"]
    assert not (root / "etc/docker").exists()


def test_a_daemon_file_of_somebodys_own_stays(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/etc/docker/daemon.json", '{"debug": true}\n')
    write("/var/lib/docker/image/a", "")
    PackagesCleanup(machine(dpkg(NAMES)), NAMES).clean()
    assert (root / "etc/docker/daemon.json").exists()
    assert (root / "var/lib/docker/image/a").exists()


def test_cri_dockerd_of_no_package_goes_too(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    names = [*NAMES, "docker-ce", "docker-ce-cli"]
    write("/etc/systemd/system/cri-docker.service", "# Written by Kubestead.\n")
    write("/usr/bin/cri-dockerd", "a release's")
    PackagesCleanup(machine(dpkg(names, docker="")), [*names, "cri-dockerd"]).clean()
    assert not (root / "usr/bin/cri-dockerd").exists()
