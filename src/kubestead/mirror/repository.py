"""Package repositories as apt reads them, signed with a key of this mirror's own."""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kubestead.mirror.catalogue import Repository
from kubestead.mirror.process import run
from kubestead.mirror.store import link_or_copy

_OWNER = "Kubestead mirror <mirror@kubestead.invalid>"


class SigningKey:
    """The mirror's key, in a GnuPG folder that only its owner may read. Made when first asked for."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def exists(self) -> bool:
        """Whether the key has been made."""
        return (self.home / "fingerprint").is_file()

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        if not self.exists:
            self._make()
        return (self.home / "fingerprint").read_text().strip()

    def public(self) -> str:
        """The public key, armoured."""
        return self._gpg("--armor", "--export", self.fingerprint)

    def sign(self, release: Path) -> None:
        """Writes InRelease and Release.gpg beside a Release file."""
        key = f"{self.fingerprint}!"
        inline, detached = release.with_name("InRelease"), release.with_name("Release.gpg")
        self._gpg("--yes", "--local-user", key, "--output", inline, "--clear-sign", release)
        self._gpg("--yes", "--local-user", key, "--armor", "--output", detached, "--detach-sign", release)

    def _make(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.chmod(0o700)
        self._gpg("--passphrase", "", "--quick-generate-key", _OWNER, "ed25519", "sign", "never")
        listed = self._gpg("--with-colons", "--list-secret-keys")
        found = re.search(r"^fpr:+([0-9A-F]{40}):", listed, re.MULTILINE)
        assert found
        unfinished = self.home / "fingerprint.new"
        unfinished.write_text(found[1])
        unfinished.rename(self.home / "fingerprint")

    def _gpg(self, *arguments: str | Path) -> str:
        # GnuPG's agent listens on sockets in its folder, whose paths must be short; and none of it may stay behind.
        with tempfile.TemporaryDirectory(prefix="kubestead-") as folder:
            home = Path(folder, "gnupg")
            home.symlink_to(self.home.absolute())
            try:
                return run(["gpg", "--homedir", home, "--batch", "--quiet", "--no-tty", *arguments])
            finally:
                run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])


def write(recipe: Repository, packages: Iterable[Path], root: Path, key: SigningKey, architecture: str) -> None:
    """Writes a whole repository below ``root``: packages (linked), indexes, signatures and the public key."""
    if recipe.layout == "flat":
        write_flat(packages, root, key, recipe.key, architecture)
        return
    assert recipe.suite
    assert recipe.component
    dist = root / "dists" / recipe.suite
    pool = dist / "pool" / recipe.component / architecture
    for package in packages:
        link_or_copy(package, pool / package.name)
    _write_packages(root, pool, dist / recipe.component / f"binary-{architecture}")
    fields = {"Suite": recipe.suite, "Codename": recipe.suite, "Components": recipe.component}
    _write_release(dist, {**fields, "Architectures": architecture})
    key.sign(dist / "Release")
    (root / recipe.key).write_text(key.public())


def write_flat(packages: Iterable[Path], root: Path, key: SigningKey, key_name: str, architecture: str) -> None:
    """Writes a repository without suites, as pkgs.k8s.io's are."""
    for package in packages:
        link_or_copy(package, root / architecture / package.name)
    _write_packages(root, root / architecture, root)
    _write_release(root, {"Architectures": f"{architecture} all"})
    key.sign(root / "Release")
    (root / key_name).write_text(key.public())


def _write_packages(root: Path, pool: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    listed = run(["apt-ftparchive", "packages", pool.relative_to(root)], cwd=root)
    (target / "Packages").write_text(listed)
    (target / "Packages.gz").write_bytes(gzip.compress(listed.encode(), mtime=0))


def _write_release(folder: Path, fields: dict[str, str]) -> None:
    settings = {"Origin": "Kubestead", "Label": "Kubestead mirror", **fields}
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in settings.items()]
    # A Release file must not list itself, so it comes to be after its content.
    listed = run(["apt-ftparchive", *options, "release", "."], cwd=folder)
    (folder / "Release").write_text(listed)
