"""The catalogue as typed data: releases, and the recipes by which each artefact is built or fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kubestead.mirror.errors import MirrorError

_PLACE = Path("roles/cluster/vars/main/catalogue.yml")


class Version(str):
    """A version as templates use it: whole, or by its parts (``{kubernetes.minor}``)."""

    __slots__ = ()

    @property
    def major(self) -> str:
        """The first number."""
        return self.split(".")[0]

    @property
    def minor(self) -> str:
        """The second number."""
        return self.split(".")[1]

    @property
    def patch(self) -> str:
        """The third number."""
        return self.split(".")[2]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Model):
    """Where one file (or, for a path that ends in ``/``, a folder of files) of a package or image comes from."""

    program: str | None = None
    module: str | None = None
    source: str | None = None
    text: str | None = None
    capability: Literal["net_bind_service"] | None = None
    setuid: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> File:
        if sum(source is not None for source in (self.program, self.module, self.source, self.text)) != 1:
            raise ValueError("needs exactly one of program, module, source and text")
        return self


class OwnMain(_Model):
    """A main package that is upstream's files without some of the packages that they import for their side effects."""

    files: tuple[str, ...]
    without_imports: tuple[str, ...]


class Module(_Model):
    """A Go module and what is built from it: programs, and the tests of a package as a program. ``memory`` and ``disk`` are MiB."""

    module: str
    version: str
    programs: dict[str, str]
    tests: dict[str, str] = Field(default_factory=dict)
    local_replacements: str | None = None
    replacements: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)
    own_main: OwnMain | None = None
    tags: tuple[str, ...] = ()
    cgo: bool = False
    needs: tuple[str, ...] = ()
    seconds: int
    memory: int
    disk: int


class CProgram(_Model):
    """A program in C whose source is a file of a Go module."""

    module: str
    source: str
    definitions: dict[str, str] = Field(default_factory=dict)
    needs: tuple[str, ...] = ()


class Base(_Model):
    """A folder of Debian packages, unpacked, with links and busybox applets, that lies below an image's own files."""

    packages: tuple[str, ...]
    links: dict[str, str] = Field(default_factory=dict)
    applets: tuple[str, ...] | Literal["all"] = ()
    seconds: int
    memory: int


class Package(_Model):
    """A Debian package.

    Of a ``companion`` upstream's repository of a minor holds the versions that it chose itself. One that is ``released`` is in
    no repository upstream, only among its project's releases, in another form.
    """

    repository: str
    revision: str
    summary: str
    files: dict[str, File]
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    conffiles: tuple[str, ...] = ()
    enable: str | None = None
    companion: bool = False
    released: bool = False


class Image(_Model):
    """A container image. The one that is built has a ``tag`` of its own where it is of another version than upstream's."""

    files: dict[str, File]
    tag: str | None = None
    base: str | None = None
    folders: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""


class Manifest(_Model):
    """A plain file of a Go module's source, which upstream publishes too."""

    module: str
    source: str
    path: str
    upstream: str


class Repository(_Model):
    """A package repository: upstream's address, its place below the mirror, and the key that signs it upstream."""

    layout: Literal["flat", "pool"]
    upstream: str
    path: str
    key: str
    fingerprint: str
    suite: str | None = None
    component: str | None = None


class Toolchain(_Model):
    """The oldest Go that builds everything, and the Python package that carries one."""

    minimum: str
    python_package: str
    python_version: str


class Artefacts(_Model):
    """Every recipe, by kind and name."""

    repositories: dict[str, Repository]
    toolchain: Toolchain
    modules: dict[str, Module]
    c_programs: dict[str, CProgram]
    bases: dict[str, Base]
    packages: dict[str, Package]
    images: dict[str, Image]
    manifests: dict[str, Manifest]
    os_packages: tuple[str, ...]


class Release(_Model):
    """What a cluster of one Kubernetes minor is made of. ``upstream_packages`` are in no mirror.

    ``built`` has the versions of those sources that cannot be built as upstream has them.
    """

    kubernetes: str
    packages: dict[str, str]
    upstream_packages: dict[str, str]
    images: dict[str, str]
    sources: dict[str, str]
    built: dict[str, str] = Field(default_factory=dict)

    def render(self, template: str, *, built: bool = False) -> str:
        """The template with the release's versions in it: upstream's, or those that are built."""
        chosen = {**self.sources, **(self.built if built else {})}
        return template.format_map({name: Version(text) for name, text in chosen.items()})


class Catalogue(_Model):
    """The whole catalogue."""

    default: str
    registries: dict[str, str]
    releases: dict[str, Release]
    artefacts: Artefacts
    components: tuple[str, ...]
    optional_components: dict[str, dict[str, tuple[str, ...]]]
    component_groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def members(self, names: Iterable[str]) -> tuple[str, ...]:
        """The components of these names, each once; a group's name stands for its members."""
        return tuple(dict.fromkeys(one for name in names for one in self.component_groups.get(name, (name,))))

    def components_for(self, variables: Mapping[str, Any]) -> tuple[str, ...]:
        """What a cluster with these variables takes: the default set, and what those ask for."""
        chosen = list(self.components)
        for variable, components in self.optional_components.items():
            value = variables.get(variable)
            chosen += components.get(str(value).lower() if isinstance(value, bool) else str(value), ())
        return tuple(chosen)

    def release(self, minor: str) -> Release:
        """The release of a minor, or a :class:`MirrorError` that lists those there are."""
        try:
            return self.releases[minor]
        except KeyError:
            known = ", ".join(self.releases)
            raise MirrorError(f"Kubernetes {minor} is not in the catalogue. It has: {known}.") from None

    def component_names(self) -> tuple[str, ...]:
        """Everything that can be asked for by name."""
        recipes = self.artefacts
        return (*recipes.packages, *recipes.images, *recipes.manifests, "os-packages", *self.component_groups)


def catalogue_path() -> Path:
    """The catalogue of the checkout this runs from, else of the installed collection."""
    checkout = Path(__file__).parents[3]
    installed = (Path(entry, "ansible_collections/kubestead/cluster") for entry in sys.path if entry)
    for root in (checkout, *installed):
        if (root / _PLACE).is_file():
            return root / _PLACE
    raise MirrorError(
        f"The catalogue {_PLACE} was found neither beside the sources nor in an installed collection "
        "kubestead.cluster. Install kubestead again."
    )


def load(path: Path | None = None) -> Catalogue:
    """Reads and checks the catalogue; a mistake in it is a :class:`MirrorError` that names the entry."""
    return _load(path or catalogue_path())


@cache
def _load(path: Path) -> Catalogue:
    try:
        content: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise MirrorError(f"{path} is not YAML: {error}") from error
    try:
        return Catalogue.model_validate(content["__cluster_catalogue"])
    except (KeyError, TypeError):
        raise MirrorError(f"{path} lacks the key __cluster_catalogue.") from None
    except ValidationError as error:
        mistakes = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise MirrorError(f"{path} has entries that are not understood:\n{mistakes}") from error
