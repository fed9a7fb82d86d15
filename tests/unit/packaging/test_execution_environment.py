"""The definition of the execution environment, by what ansible-builder's documentation says of version 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]


def closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """A mapping with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
PIP = closed(("package_pip",), package_pip=TEXT)
STAGES = [f"{when}_{stage}" for when in ("prepend", "append") for stage in ("base", "galaxy", "builder", "final")]
SCHEMA = closed(
    ("version", "images", "dependencies"),
    version={"const": 3},
    images=closed(("base_image",), base_image=closed(("name",), name=TEXT)),
    options=closed(package_manager_path=TEXT, skip_ansible_check={"type": "boolean"}),
    dependencies=closed(
        python_interpreter=closed(package_system=TEXT, python_path=TEXT),
        ansible_core=PIP,
        ansible_runner=PIP,
        system=TEXTS,
        python=TEXTS,
    ),
    additional_build_files={"type": "array", "items": closed(("src", "dest"), src=TEXT, dest=TEXT)},
    additional_build_steps=closed(**dict.fromkeys(STAGES, TEXTS)),
)


@pytest.fixture
def definition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "execution-environment.yml").read_text(encoding="utf-8"))
    return loaded


def test_ansible_builder_knows_every_key(definition: dict[str, Any]) -> None:
    jsonschema.validate(definition, SCHEMA)


def test_its_versions_are_those_that_are_tested(definition: dict[str, Any]) -> None:
    pinned = (ROOT / "requirements-run.txt").read_text(encoding="utf-8").splitlines()
    for part in ("ansible_core", "ansible_runner"):
        assert definition["dependencies"][part]["package_pip"] in pinned


def test_it_installs_the_wheel_of_this_version_from_where_it_is_put(definition: dict[str, Any]) -> None:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    (file,) = definition["additional_build_files"]
    assert file["src"] == f"dist/kubestead-{version}-py3-none-any.whl"
    steps = definition["additional_build_steps"]["append_final"]
    assert steps[0].startswith(f"COPY _build/{file['dest']} ")
    copied_to = steps[0].split()[-1]
    assert f"pip install --no-cache-dir {copied_to}/*.whl" in steps[1]
    assert f"kubestead-ee:{version}" in (ROOT / "docs/execution-environment.md").read_text(encoding="utf-8")


def test_its_image_has_a_version(definition: dict[str, Any]) -> None:
    _, _, tag = definition["images"]["base_image"]["name"].rpartition(":")
    assert tag[0].isdigit()
