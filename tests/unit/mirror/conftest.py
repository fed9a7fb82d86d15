"""What several tests of the mirror use."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from kubestead.mirror import oci
from kubestead.mirror.builders import Workshop
from kubestead.mirror.catalogue import Catalogue, Package, load
from kubestead.mirror.plan import Step
from kubestead.mirror.publish import Mirror


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load()


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "cache/kubestead/mirror")


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.done: list[str] = []
        self.notes: list[str] = []

    def plan(self, work: Mapping[str, int]) -> None:
        self.planned = list(work)

    def started(self, title: str) -> None:
        pass

    def finished(self, title: str, seconds: float) -> None:
        self.done.append(title)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


def stand_in(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    """Makes small artefacts of the right shape, where the real builders would take minutes."""
    if step.kind == "image":
        layer = work / "layer.tar"
        (work / "program").write_text(f"{step.name} {step.recipe['version']}")
        oci.write_layer(layer, [oci.Entry("/program", source=work / "program")])
        oci.write_image(target, [layer], oci.Settings(entrypoint=("/program",)), "amd64", step.recipe["reference"])
    elif step.kind == "package":
        from kubestead.mirror import debian

        (work / "program").write_text(step.name)
        recipe = Package(repository="", revision="", summary=step.recipe["summary"], files={})
        files = {f"/usr/bin/{step.name}": work / "program"}
        debian.build_package(step.name, step.recipe["version"], recipe, files, work, target)
    elif step.kind == "manifest":
        place = target / step.recipe["path"]
        place.parent.mkdir(parents=True)
        place.write_text("kind: List\n")
    else:
        for name in step.recipe.get("programs", {"file": ""}):
            (target / name).write_text(step.title)


@pytest.fixture
def small_builders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces what would compile or install by stand-ins, and lists what was made."""
    from kubestead.mirror import build, debian

    made: list[str] = []

    def make(step: Step, shop: Workshop, work: Path, target: Path) -> None:
        stand_in(step, shop, work, target)
        made.append(step.name)

    monkeypatch.setattr(build.builders, "make", make)
    monkeypatch.setattr(build.Build, "_prepare", lambda self, steps, *, go: None)
    monkeypatch.setattr(build.Build, "_go_caches", lambda self: ())
    monkeypatch.setattr(debian, "require_debian", lambda: None)
    return made


needs_apt_tools = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("apt-ftparchive", "gpg", "gpgv", "dpkg-deb")),
    reason="apt-ftparchive, gpg, gpgv and dpkg-deb are needed",
)
