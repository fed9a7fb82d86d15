"""What is on this machine outside the cache: taken before ``up`` and after ``down``, two of these must be the same.

``python -m kubestead.lab.footprint save FILE`` takes one, ``… compare FILE`` tells what has been added since.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from kubestead import paths
from kubestead.lab import host
from kubestead.lab.commands import CommandError, run
from kubestead.lab.engine import RUN, Docker

Footprint = dict[str, list[str]]

# Programs that a lab starts, and that nothing else on this machine is to be confused with.
PROGRAMS = re.compile(
    r"dockerd|containerd|docker-proxy|docker-registry|nginx|kubestead|ssh: .*\[mux\]|runc|systemd$|kubelet"
)


def take() -> Footprint:
    """Look at everything that a lab may leave."""
    return {
        "containers": _docker("ps", "--all", "--format", "{{.Names}}"),
        "networks": _docker("network", "ls", "--format", "{{.Name}}"),
        "volumes": _docker("volume", "ls", "--format", "{{.Name}}"),
        "processes": _processes(),
        "links": sorted(host.links()),
        "mounts": _mounts(),
        "rules": [rule for family in host.FAMILIES for rule in _rules(family)],
        "settings": [f"{name}={value}" for name, value in sorted(_settings().items())],
        "files": sorted(_files()),
    }


def added(before: Footprint, after: Footprint) -> list[str]:
    """What is there now and was not before, as ``kind: thing``."""
    return [
        f"{kind}: {thing}" for kind, things in after.items() for thing in things if thing not in before.get(kind, [])
    ]


def _docker(*arguments: str) -> list[str]:
    docker = Docker()
    return docker(*arguments).split() if docker.engine() else []


def _processes() -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else [b""]
        except OSError:
            continue
        command = b" ".join(words).decode(errors="replace").strip()
        if PROGRAMS.search(command.split(" ")[0] if words[0] else "") or "[mux]" in command:
            found.append(f"{folder.name} {command}")
    return sorted(found)


def _mounts() -> list[str]:
    text = Path("/proc/self/mountinfo").read_text()
    return sorted(re.findall(r"^\S+ \S+ \S+ \S+ (\S+) ", text, re.MULTILINE))


def _rules(family: str) -> list[str]:
    try:
        saved = run([f"{family}-save"])
    except CommandError:
        return []
    kept = [line for line in saved.splitlines() if line.startswith(("-A", ":"))]
    # A table that exists and holds nothing is no different from one that was never asked for.
    return [
        f"{family} {re.sub(r' .[0-9]+:[0-9]+.$', '', line)}" for line in kept if not re.match(r":\w+ ACCEPT ", line)
    ]


def _settings() -> dict[str, str]:
    return host.read_settings([*host.SHARED_SETTINGS, *host.FORWARDING])


def _files() -> set[str]:
    """Files of a lab's own, and of its engine's, wherever they may be; the cache excepted."""
    places = [
        paths.state_dir(),
        RUN,
        Path("/etc/cni"),
        Path("/opt/cni"),
        Path("/var/lib/docker"),
        Path.home() / ".docker",
    ]
    places += [Path(path) for path in host.ENGINE_FILES]
    found = {str(place) for place in places if place.exists()}
    for place in places:
        for folder, folders, files in os.walk(place):
            found |= {str(Path(folder, name)) for name in [*folders, *files]}
    return found | {str(path) for path in Path("/tmp").glob("kubestead-*")}  # noqa: S108


def main(arguments: list[str]) -> int:
    """Run ``save FILE`` or ``compare FILE``."""
    command, file = arguments
    if command == "save":
        Path(file).write_text(json.dumps(take(), indent=1))
        return 0
    left = added(json.loads(Path(file).read_text()), take())
    sys.stdout.write("".join(f"left: {thing}\n" for thing in left) or "nothing is left\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
