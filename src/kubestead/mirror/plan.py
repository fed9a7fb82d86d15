"""From names of components to the steps that make them, each with the digest of all that goes into it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

from kubestead.mirror.catalogue import Catalogue, File, Release
from kubestead.mirror.errors import MirrorError

# Raised when the way artefacts are written changes, so that old ones are made again.
_FORMAT = 1

Kind = Literal["module", "c-program", "source", "base", "package", "image", "manifest", "os-packages", "server"]


@dataclass(frozen=True)
class Step:
    """One artefact to make: its recipe with all versions filled in, and the artefacts it is made from."""

    kind: Kind
    name: str
    recipe: Mapping[str, Any]
    inputs: Mapping[str, Step] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seconds: int = 1
    memory: int = 100
    disk: int = 100

    @cached_property
    def key(self) -> str:
        """The name of the artefact in the store."""
        content = {
            "format": _FORMAT,
            "kind": self.kind,
            "recipe": self.recipe,
            "inputs": {name: step.key for name, step in self.inputs.items()},
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:20]}"

    @property
    def title(self) -> str:
        """What the user reads."""
        return f"{self.name} {self.recipe.get('version', '')}".strip()


@dataclass(frozen=True)
class Component:
    """Something a cluster of one minor takes from the mirror, and the step that makes it."""

    minor: str
    name: str
    kind: Literal["package", "image", "manifest", "os-packages"]
    reference: str
    step: Step


class Planner:
    """Makes the steps of one release; the same artefact is the same step.

    What cannot be built as upstream has it is planned in the version that can, unless it is to be fetched from ``upstream``.
    """

    def __init__(
        self, catalogue: Catalogue, minor: str, *, architecture: str, suite: str, upstream: bool = False
    ) -> None:
        self._catalogue = catalogue
        self._minor = minor
        self._release: Release = catalogue.release(minor)
        self._recipes = catalogue.artefacts
        self._machine = {"architecture": architecture}
        self._debian = {"architecture": architecture, "suite": suite}
        self._built = not upstream
        self._steps: dict[tuple[str, str], Step] = {}

    def components(self, names: Iterable[str] | None) -> list[Component]:
        """The components of these names, or of the catalogue's default set."""
        chosen = list(dict.fromkeys(names if names is not None else self._catalogue.components))
        known = self._catalogue.component_names()
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise MirrorError(_unknown(unknown, known))
        return [self._component(name) for name in self._catalogue.members(chosen)]

    def server(self) -> Step:
        """The programs that serve the mirror."""
        recipe = {**self._debian, "packages": ["docker-registry", "nginx"]}
        return Step("server", "server", recipe, seconds=2)

    def _component(self, name: str) -> Component:
        recipes = self._recipes
        if name in recipes.packages:
            version = f"{self._release.packages[name]}-{recipes.packages[name].revision}"
            return Component(self._minor, name, "package", version, self._package(name, version))
        if name in recipes.images:
            reference = self._reference(name)
            return Component(self._minor, name, "image", reference, self._image(name, reference))
        if name in recipes.manifests:
            step = self._manifest(name)
            return Component(self._minor, name, "manifest", step.recipe["path"], step)
        return Component(self._minor, name, "os-packages", self._debian["suite"], self._os_packages())

    def _reference(self, name: str) -> str:
        reference, tag = self._release.images[name], self._recipes.images[name].tag
        return f"{reference.rpartition(':')[0]}:{self._render(tag)}" if tag else reference

    def _render(self, template: str) -> str:
        return self._release.render(template, built=self._built)

    def _package(self, name: str, version: str) -> Step:
        recipe = self._recipes.packages[name]
        content = {**_dump(recipe, "repository", "companion", "released"), **self._machine, "version": version}
        return Step("package", name, content, self._inputs(recipe.files), seconds=3, memory=300, disk=300)

    def _image(self, name: str, reference: str) -> Step:
        recipe = self._recipes.images[name]
        inputs = dict(self._inputs(recipe.files))
        if recipe.base:
            inputs[f"base:{recipe.base}"] = self._base(recipe.base)
        content = {
            **_dump(recipe, "tag"),
            **self._machine,
            "reference": reference,
            "version": reference.rsplit(":", 1)[1],
        }
        return Step("image", name, content, inputs, seconds=2, memory=200, disk=250)

    def _manifest(self, name: str) -> Step:
        recipe = self._recipes.manifests[name]
        module = self._recipes.modules[recipe.module]
        content = {
            "module": module.module,
            "module_version": self._render(module.version),
            "source": recipe.source,
            "path": self._render(recipe.path),
        }
        return Step("manifest", name, content)

    def _os_packages(self) -> Step:
        content = {**self._debian, "packages": list(self._recipes.os_packages)}
        return Step("os-packages", "os-packages", content, seconds=15, disk=400)

    def _inputs(self, files: Mapping[str, File]) -> dict[str, Step]:
        inputs = {}
        for file in files.values():
            if file.module:
                inputs[file.module] = self._module(file.module)
            elif file.program and "/" in file.program:
                name = file.program.split("/")[0]
                inputs[name] = self._module(name)
            elif file.source:
                inputs[file.source] = self._source(file.source)
            elif file.program:
                inputs[file.program] = self._c_program(file.program)
        return inputs

    def _module(self, name: str) -> Step:
        if ("module", name) not in self._steps:
            recipe = self._recipes.modules[name]
            content = {
                **_dump(recipe, "needs", "seconds", "memory", "disk"),
                **self._machine,
                "version": self._render(recipe.version),
                "local_replacements": self._render(recipe.local_replacements or ""),
                "variables": {key: self._render(value) for key, value in recipe.variables.items()},
            }
            self._steps["module", name] = Step(
                "module",
                f"go-{name}",
                content,
                needs=recipe.needs,
                seconds=recipe.seconds,
                memory=recipe.memory,
                disk=recipe.disk,
            )
        return self._steps["module", name]

    def _c_program(self, name: str) -> Step:
        recipe = self._recipes.c_programs[name]
        module = self._recipes.modules[recipe.module]
        content = {
            **self._machine,
            "program": name,
            "module": module.module,
            "module_version": self._render(module.version),
            "source": recipe.source,
            "definitions": {key: self._render(value) for key, value in recipe.definitions.items()},
        }
        return Step("c-program", f"c-{name}", content, needs=recipe.needs)

    def _source(self, name: str) -> Step:
        unit, _, path = name.partition("/")
        module = self._recipes.modules[unit]
        content = {
            "module": module.module,
            "module_version": self._render(module.version),
            "source": path,
        }
        return Step("source", f"source-{path.rsplit('/', 1)[-1]}", content)

    def _base(self, name: str) -> Step:
        if ("base", name) not in self._steps:
            recipe = self._recipes.bases[name]
            content = {**_dump(recipe, "seconds", "memory"), **self._debian}
            step = Step("base", f"base-{name}", content, seconds=recipe.seconds, memory=recipe.memory)
            self._steps["base", name] = step
        return self._steps["base", name]


def _dump(recipe: BaseModel, *without: str) -> dict[str, Any]:
    """A recipe as data. Defaults are left out: a new field of recipes changes no key."""
    return recipe.model_dump(mode="json", exclude=set(without), exclude_defaults=True)


def _unknown(names: list[str], known: Iterable[str]) -> str:
    known = list(known)
    hints = [
        f"{name} (perhaps {near[0]})" if (near := difflib.get_close_matches(name, known, 1)) else name for name in names
    ]
    return f"Not in the catalogue: {', '.join(hints)}. Components are: {', '.join(known)}."
