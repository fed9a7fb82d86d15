"""What the checkout promises by its shape: links, versions, names, and what must never be committed."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[3]
FARM = ROOT / "collections/ansible_collections/kubestead/cluster"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_link_farm_leads_to_the_parts_of_the_collection() -> None:
    links = {path.name: path for path in FARM.iterdir()}
    assert set(links) == {
        *("CHANGELOG.md", "LICENSE", "README.md", "galaxy.yml"),
        *("changelogs", "meta", "playbooks", "plugins", "roles"),
    }
    for name, link in links.items():
        assert not link.readlink().is_absolute(), f"{link} must be relative, to work in every clone"
        assert link.resolve() == ROOT / name


# Written in two halves, so that this file does not hold what it forbids.
REGISTRIES = [
    *("pypi" + ".org", "pythonhosted" + ".org", "proxy.golang" + ".org", "sum.golang" + ".org"),
    *("deb.debian" + ".org", "security.debian" + ".org", "registry.npmjs" + ".org", "crates" + ".io"),
    "repo.maven.apache" + ".org",
]
MACHINE = re.compile("|".join([re.escape(str(ROOT)), "/" + "work/", "/" + "opt/wheels"]))


@pytest.mark.parametrize("what", ["a package registry's host", "a path of one machine"])
def test_nothing_committed_names(what: str) -> None:
    forbidden = MACHINE if what == "a path of one machine" else re.compile("|".join(map(re.escape, REGISTRIES)))
    found = []
    for path in tracked():
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in forbidden.finditer(text)]
    assert found == []


def test_no_version_is_left_open() -> None:
    open_versions = re.compile(r":latest\b|https?://\S+/(?:master|main)/\S+")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked()
        if path.suffix in {".yml", ".yaml", ".j2"} and path.is_file()
        for match in open_versions.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements-run.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    loose = [line for line in lines if line and not line.startswith(("#", "-r ")) and "==" not in line]
    assert loose == []


def test_the_pinned_versions_are_within_what_users_may_have() -> None:
    lines = (ROOT / "requirements-run.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for text in project()["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_the_collection_and_the_distribution_ask_for_the_same_ansible() -> None:
    (core,) = [Requirement(text) for text in project()["dependencies"] if text.startswith("ansible-core")]
    collection = SpecifierSet(load("meta/runtime.yml")["requires_ansible"])
    for version in ("2.18.9", "2.19.0", "2.22.5", "2.23.0"):
        assert collection.contains(version) == core.specifier.contains(version), version


def test_action_groups_hold_modules_that_there_are() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    for group in load("meta/runtime.yml")["action_groups"].values():
        assert set(group) <= modules


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_complete(role: str) -> None:
    for part in ("README.md", "meta/main.yml", "meta/argument_specs.yml"):
        assert (ROOT / "roles" / role / part).is_file(), part
    if (ROOT / "roles" / role / "tasks").is_dir():
        assert (ROOT / "molecule" / role / "molecule.yml").is_file(), "a role with tasks has a scenario"
        assert list((ROOT / "molecule" / role / "tests").glob("test_*.py")), "a scenario verifies something"


def test_make_test_full_runs_every_scenario() -> None:
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")} - {"default"}
    line = re.search(r"^  set -- (.*)$", (ROOT / "molecule/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert line
    rarer = re.findall(
        r"molecule/run (.*)$", (ROOT / "tests/run").read_text(encoding="utf-8").split("part_full")[1], re.MULTILINE
    )
    assert sorted([*line.group(1).split(), *" ".join(rarer).split()]) == sorted(scenarios)


def test_make_help_tells_of_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)
    told = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {"cluster", "test", "lint", "unit", "molecule", "integration", "bench", "clean"} <= set(phony)
    assert [target for target in phony if f"make {target} " not in told] == []
