"""What is done with Debian's own tools: build needs installed, packages unpacked, packages built."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from kubestead.mirror import oci
from kubestead.mirror.catalogue import Package
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.process import run
from kubestead.mirror.store import link_or_copy

_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Sandbox::User=root")
_NOT_FOR_IMAGES = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/initramfs-tools",
)
_POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    {start}
fi
"""
_POSTRM = """#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
"""


def distribution() -> str:
    """The name of this machine's distribution, as os-release has it."""
    try:
        return platform.freedesktop_os_release()["ID"]
    except (OSError, KeyError):
        return platform.system()


def require_debian() -> None:
    """Refuses, with what to do instead, where artefacts cannot be built."""
    name = distribution()
    if name != "debian":
        raise MirrorError(
            f"`kubestead mirror build` works on Debian, and this is {name}: images and build tools come from Debian's "
            "packages. Where upstream is reachable, `kubestead mirror sync` fetches the same artefacts on any machine; "
            "else build on a Debian machine and copy its mirror folder."
        )


def architecture() -> str:
    """The machine's architecture as Debian, Go and OCI images call it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed."""
    wanted = sorted(set(packages))
    lines = run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n"]).splitlines()
    installed = {line.split()[0] for line in lines if line.endswith("ii ") or line.split()[-1] == "ii"}
    return [name for name in wanted if name not in installed]


def suite() -> str:
    """The code name of this machine's release."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    except OSError:
        return "unknown"


def provide(packages: Iterable[str], log: Path) -> None:
    """Installs what is missing on Debian and its kin; elsewhere the administrator has to, and each tool says when it lacks."""
    if shutil.which("dpkg-query"):
        install(packages, log)


def install(packages: Iterable[str], log: Path) -> None:
    """Installs what is missing; needs root only then."""
    wanted = missing(packages)
    if not wanted:
        return
    if os.geteuid() != 0:
        raise MirrorError(
            f"Building needs these Debian packages: {' '.join(wanted)}. Run the command as root, or install them first: "
            f"sudo apt-get install --no-install-recommends {' '.join(wanted)}"
        )
    run([*_APT, "update"], log=log)
    run(
        [*_APT, "install", "--no-install-recommends", *wanted],
        env={"DEBIAN_FRONTEND": "noninteractive"},
        log=log,
    )


def download(packages: Iterable[str], folder: Path, log: Path, *, closure: bool) -> list[Path]:
    """Downloads packages, with all they depend on when asked, as if nothing were installed."""
    (folder / "partial").mkdir(parents=True)
    wanted = list(packages)
    if closure:
        (folder / "status").touch()
        run(
            [
                *_APT,
                *("-o", f"Dir::State::status={folder / 'status'}", "-o", f"Dir::Cache::archives={folder}"),
                *("-o", "Debug::NoLocking=true", "--no-install-recommends", "--download-only", "install"),
                *wanted,
            ],
            log=log,
        )
    else:
        run([*_APT, "download", *wanted], cwd=folder, log=log)
    return sorted(folder.glob("*.deb"))


def refresh_lists(log: Path) -> None:
    """Fetches apt's lists on a machine that has none yet."""
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        run([*_APT, "update"], log=log)


def unpack(packages: Iterable[Path], folder: Path) -> None:
    """Unpacks packages over each other and drops what nothing reads in an image."""
    for package in packages:
        run(["dpkg-deb", "--extract", package, folder])
    for name in _NOT_FOR_IMAGES:
        shutil.rmtree(folder / name, ignore_errors=True)


def build_package(
    name: str, version: str, recipe: Package, files: Mapping[str, Path], work: Path, target: Path
) -> Path:
    """Builds one package from finished files (path in the package to file) and returns it."""
    root = work / "root"
    control = root / "DEBIAN"
    control.mkdir(parents=True)
    for path, source in files.items():
        place = root / path.lstrip("/")
        link_or_copy(source, place)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": architecture(),
        "Maintainer": "Kubestead mirror <mirror@kubestead.invalid>",
        "Section": "admin",
        "Priority": "optional",
        "Depends": ", ".join(recipe.depends),
        "Provides": ", ".join(recipe.provides),
        "Conflicts": ", ".join(recipe.conflicts),
        "Replaces": ", ".join(recipe.conflicts),
        "Installed-Size": str(sum(file.stat().st_size for file in files.values()) // 1024),
        "Description": f"{recipe.summary}\n Built by Kubestead's mirror.",
    }
    (control / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items() if value))
    if recipe.conffiles:
        (control / "conffiles").write_text("".join(f"{path}\n" for path in recipe.conffiles))
    if any("/systemd/system/" in path for path in files):
        start = f"systemctl enable --now {recipe.enable}" if recipe.enable else ":"
        _script(control / "postinst", _POSTINST.format(start=start))
        _script(control / "postrm", _POSTRM)
    package = target / f"{name}_{version}_{architecture()}.deb"
    # zstd unpacks many times faster than xz, and every node of every cluster unpacks these.
    command: list[str | Path] = ["dpkg-deb", "--build", "--root-owner-group", "-Zzstd", "-z3", root, package]
    run(command, env={"SOURCE_DATE_EPOCH": str(oci.TIME)})
    return package


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
