from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("package", ["kubeadm", "kubelet", "kubectl"])
def test_the_catalogues_version_is_installed_and_held(host: Host, release: dict[str, Any], package: str) -> None:
    assert host.package(package).version.startswith(release["packages"][package] + "-")
    assert package in host.check_output("apt-mark showhold").split()


def test_the_programs_are_what_the_packages_say(host: Host, release: dict[str, Any]) -> None:
    version = "v" + release["kubernetes"]
    assert host.check_output("kubeadm version --output short") == version
    assert host.check_output("kubelet --version") == f"Kubernetes {version}"


def test_the_repository_is_signed_by_its_own_key(host: Host) -> None:
    source = host.file("/etc/apt/sources.list.d/kubernetes.sources").content_string
    assert "Signed-By: /etc/apt/keyrings/kubernetes.asc" in source


def test_the_images_are_there_before_kubeadm_wants_them(name: str, images: set[str], release: dict[str, Any]) -> None:
    wanted = {"pause", "kube-proxy", "flannel"}
    if name.startswith("control-plane"):
        wanted |= {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns"}
    assert {release["images"][component] for component in wanted} <= images


def test_a_worker_does_not_carry_a_control_planes_images(name: str, images: set[str], release: dict[str, Any]) -> None:
    assert (release["images"]["etcd"] in images) == name.startswith("control-plane")


def test_the_kubelet_starts_at_boot(host: Host) -> None:
    assert host.service("kubelet").is_enabled
