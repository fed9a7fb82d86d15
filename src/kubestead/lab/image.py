"""The node image: Debian 12 with systemd and SSH, built once for each recipe and kept in the cache.

Debian 12 because its systemd is the last that runs on cgroup version 1 as well as 2. On Debian the base comes from the
machine's own mirror by mmdebstrap; elsewhere it is docker.io's ``debian:12``. The packages are the same.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kubestead import paths
from kubestead.lab.commands import CommandError, run
from kubestead.lab.engine import Docker
from kubestead.lab.errors import LabError
from kubestead.lab.files import lock
from kubestead.lab.machine import Machine

SUITE = "bookworm"
UPSTREAM_BASE = "debian:12"
PACKAGES = (
    *(
        "systemd",
        "systemd-sysv",
        "dbus",
        "openssh-server",
        "python3",
        "python3-apt",
        "apt",
        "ca-certificates",
        "curl",
        "gpg",
    ),
    *("iproute2", "iputils-ping", "iptables", "nftables", "ebtables", "ipset", "conntrack", "socat", "ethtool"),
    *("procps", "kmod", "netbase", "util-linux"),
)
FILES = Path(__file__).parent / "node"
REPOSITORY = "kubestead-lab-node"
BASE_REPOSITORY = "kubestead-lab-base"
DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Recipe:
    """Everything that an image is made from.

    :ivar sources: text for apt's sources in mmdebstrap's root; empty means docker.io's base.
    """

    architecture: str
    sources: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of the recipe. Where the packages come from is no part of it: the content is the same."""
        parts = [SUITE, self.architecture, *PACKAGES]
        parts += [path.read_text() for path in sorted(FILES.iterdir())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGEST_LENGTH]

    @property
    def tag(self) -> str:
        """Name of the image in an engine."""
        return f"{REPOSITORY}:{self.digest}"

    @property
    def base(self) -> str:
        """Name of the image that it starts from."""
        return f"{BASE_REPOSITORY}:{self.digest}" if self.sources else UPSTREAM_BASE

    @property
    def file(self) -> Path:
        """The copy in the cache, for engines that do not have it yet."""
        return paths.cache_dir() / "lab" / "images" / f"{REPOSITORY}-{self.digest}.tar"

    def dockerfile(self) -> str:
        """The Dockerfile, filled in."""
        install = ""
        if not self.sources:
            install = (
                "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "
                f"{' '.join(PACKAGES)} && rm -rf /var/lib/apt/lists/*"
            )
        return (FILES / "Dockerfile").read_text().replace("@BASE@", self.base).replace("@PREPARE@", install)


def recipe(machine: Machine) -> Recipe:
    """The recipe for this machine."""
    sources = ""
    if machine.root and machine.distribution == "debian":
        sources = debian_sources(_apt_sources(), machine.codename)
    return Recipe(architecture=machine.architecture, sources=sources)


def ensure(docker: Docker, wanted: Recipe, say: Callable[[str], None]) -> str:
    """Have the image in the engine: found there, loaded from the cache, or built. Return its tag."""
    with lock(paths.cache_dir() / "lab" / "image.lock"):
        _sweep()
        if docker.inspect("image", wanted.tag) is None and not _load(docker, wanted, say):
            say("building the node image")
            _build(docker, wanted)
        if not wanted.file.exists():
            say("saving the node image in the cache")
            _save(docker, wanted)
    return wanted.tag


def _load(docker: Docker, wanted: Recipe, say: Callable[[str], None]) -> bool:
    if not wanted.file.exists():
        return False
    say("loading the node image from the cache")
    try:
        docker("load", "--input", str(wanted.file))
    except CommandError:
        wanted.file.unlink()  # cut short or damaged: it is built anew
        return False
    return docker.inspect("image", wanted.tag) is not None


def _save(docker: Docker, wanted: Recipe) -> None:
    partial = _scratch() / wanted.file.name
    docker("save", "--output", str(partial), wanted.tag)
    wanted.file.parent.mkdir(parents=True, exist_ok=True)
    for old in wanted.file.parent.glob(f"{REPOSITORY}-*.tar"):
        old.unlink()
    partial.replace(wanted.file)


def _build(docker: Docker, wanted: Recipe) -> None:
    if wanted.sources and docker.inspect("image", wanted.base) is None:
        _import_base(docker, wanted)
    with tempfile.TemporaryDirectory(dir=_scratch(), prefix="build.") as folder:
        for path in FILES.iterdir():
            shutil.copy(path, folder)
        Path(folder, "Dockerfile").write_text(wanted.dockerfile())
        arguments = ["build", "--quiet", "--force-rm", "--network", "host", "--tag", wanted.tag, folder]
        try:
            # The classic builder sees images that were just imported; BuildKit may run in a container of its own.
            run([docker.binary, *arguments], environment={"DOCKER_BUILDKIT": "0"}, timeout=1800)
        except CommandError as error:
            _try_buildkit(docker, arguments, error, wanted)


def _try_buildkit(docker: Docker, arguments: list[str], classic: CommandError, wanted: Recipe) -> None:
    try:
        docker("buildx", "version")
    except CommandError:
        hint = ""
        if not wanted.sources:
            hint = f"\nIt needs {UPSTREAM_BASE} from docker.io; on Debian, as root, it is built from Debian's mirror instead."
        raise LabError(f"The node image could not be built.\n{classic}{hint}") from classic
    run([docker.binary, *arguments], environment={"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}, timeout=1800)


def _import_base(docker: Docker, wanted: Recipe) -> None:
    if shutil.which("mmdebstrap") is None:
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], environment=quiet)
        run(["apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"], environment=quiet)
    scratch = _scratch()
    sources, root, log = scratch / "base.sources", scratch / "base.tar", scratch / "mmdebstrap.log"
    sources.write_text(wanted.sources)
    run(
        ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), str(sources)],
        log=log,
        environment={"TMPDIR": str(scratch)},
        timeout=1800,
    )
    docker("import", str(root), wanted.base)
    root.unlink()


def _scratch() -> Path:
    folder = paths.cache_dir() / "lab" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sweep() -> None:
    """Remove what a killed build left; the lock says that none is going on."""
    shutil.rmtree(_scratch(), ignore_errors=True)


def _apt_sources() -> str:
    """All of apt's deb822 and one-line sources, as deb822."""
    folder = Path("/etc/apt")
    texts = [path.read_text() for path in sorted(folder.glob("sources.list.d/*.sources"))]
    listed = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    texts += [one_line_to_deb822(path.read_text()) for path in listed if path.exists()]
    return "\n\n".join(texts)


def one_line_to_deb822(text: str) -> str:
    """Rewrite one-line sources (``deb [signed-by=…] URI SUITE COMPONENT…``) as deb822 stanzas."""
    stanzas = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if not words or words[0] != "deb":
            continue
        options: dict[str, str] = {}
        if words[1].startswith("["):
            end = next(i for i, word in enumerate(words) if word.endswith("]"))
            pairs = " ".join(words[1 : end + 1]).strip("[]").split()
            options = {key.lower(): value for key, _, value in (pair.partition("=") for pair in pairs)}
            words = [words[0], *words[end + 1 :]]
        stanza = [f"Types: deb\nURIs: {words[1]}\nSuites: {words[2]}\nComponents: {' '.join(words[3:])}"]
        if "signed-by" in options:
            stanza.append(f"Signed-By: {options['signed-by']}")
        stanzas.append("\n".join(stanza))
    return "\n\n".join(stanzas)


def debian_sources(deb822: str, codename: str) -> str:
    """The sources that carry Debian itself, turned to the release that nodes run.

    :param deb822: the machine's sources.
    :param codename: the machine's own release, whose suites are looked for.
    :return: deb822 text; empty where none of the sources is Debian's.
    """
    suites = {codename: SUITE, f"{codename}-updates": f"{SUITE}-updates", f"{codename}-security": f"{SUITE}-security"}
    stanzas = []
    for stanza in deb822.split("\n\n"):
        fields = _fields(stanza)
        wanted = [suites[name] for name in fields.get("suites", "").split() if name in suites]
        if not wanted or "main" not in fields.get("components", "").split() or fields.get("enabled", "yes") == "no":
            continue
        lines = ["Types: deb", f"URIs: {fields['uris']}", f"Suites: {' '.join(wanted)}", "Components: main"]
        lines.append("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg")
        stanzas.append("\n".join(lines))
    carries_release = any(SUITE in stanza.split("Suites: ")[1].splitlines()[0].split() for stanza in stanzas)
    return "\n\n".join(stanzas) + "\n" if carries_release else ""


def _fields(stanza: str) -> dict[str, str]:
    """One deb822 stanza; names in lower case, continuation lines joined."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += f" {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def remove_stale(docker: Docker, wanted: Recipe) -> None:
    """Delete images of older recipes that nothing uses any more."""
    for repository in (REPOSITORY, BASE_REPOSITORY):
        for tag in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
            if tag not in (wanted.tag, wanted.base):
                try:
                    docker("image", "rm", tag)
                except CommandError:
                    continue  # in use by another lab
