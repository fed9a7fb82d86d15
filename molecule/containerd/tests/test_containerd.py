from __future__ import annotations

import tomllib
from typing import Any

from testinfra.host import Host


def configuration(host: Host) -> dict[str, Any]:
    """The configuration as containerd itself understands it, defaults included."""
    return tomllib.loads(host.check_output("containerd config dump"))


def test_the_service_runs_now_and_at_boot(host: Host) -> None:
    service = host.service("containerd")
    assert service.is_running, host.run("journalctl --no-pager --lines 40 --unit containerd").stdout
    assert service.is_enabled


def test_the_catalogues_version_is_installed_and_held(host: Host, release: dict[str, Any]) -> None:
    assert host.package("containerd.io").version.startswith(release["packages"]["containerd.io"] + "-")
    assert "containerd.io" in host.check_output("apt-mark showhold").split()


def test_the_repository_is_signed_by_its_own_key(host: Host) -> None:
    assert (
        "Signed-By: /etc/apt/keyrings/docker.asc" in host.file("/etc/apt/sources.list.d/docker.sources").content_string
    )


def test_containerd_reads_our_configuration(host: Host, release: dict[str, Any]) -> None:
    plugins = configuration(host)["plugins"]
    assert plugins["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == release["images"]["pause"]
    assert plugins["io.containerd.cri.v1.images"]["registry"]["config_path"] == "/etc/containerd/certs.d"
    runc = plugins["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"]
    assert runc["options"]["SystemdCgroup"] is True


def test_an_image_comes_from_the_mirror_under_its_own_name(host: Host, release: dict[str, Any]) -> None:
    pause = release["images"]["pause"]
    host.check_output("ctr --namespace kubestead-test images pull --hosts-dir /etc/containerd/certs.d %s", pause)
    assert host.check_output("ctr --namespace kubestead-test images list --quiet") == pause
    host.check_output("ctr --namespace kubestead-test images remove %s", pause)


def test_every_registry_has_its_mirror(host: Host) -> None:
    for registry in ("registry.k8s.io", "docker.io", "ghcr.io", "quay.io"):
        hosts = tomllib.loads(host.file(f"/etc/containerd/certs.d/{registry}/hosts.toml").content_string)
        ((url, mirror),) = hosts["host"].items()
        assert url.endswith(f"/v2/{registry}")
        assert mirror["override_path"] is True
