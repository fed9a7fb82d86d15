"""How one step of each kind is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestead.mirror import debian, golang, oci
from kubestead.mirror.catalogue import File, Image, Package
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Kind, Step
from kubestead.mirror.process import run
from kubestead.mirror.store import Store


@dataclass(frozen=True)
class Workshop:
    """What builders share. ``go`` is looked for when the first step needs it."""

    store: Store
    logs: Path
    go: Callable[[], golang.Go]


def make(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    """Makes the artefact of a step in ``target``; ``work`` is scratch space on the same file system."""
    _BUILDERS[step.kind](step, shop, work, target)


def _module(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    golang.build(shop.go(), step.recipe, work, target, shop.logs / f"{step.name}.log")


def _c_program(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    recipe = step.recipe
    folder, _ = golang.source(shop.go(), recipe["module"], recipe["module_version"])
    definitions = [f"-D{name}={value}" for name, value in recipe["definitions"].items()]
    command = ["gcc", "-Os", "-static", "-s", *definitions, "-o", target / recipe["program"], folder / recipe["source"]]
    run(command, log=shop.logs / f"{step.name}.log")


def _base(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    recipe, log = step.recipe, shop.logs / f"{step.name}.log"
    root = work / "root"
    root.mkdir()
    closure = any(not name.endswith("-static") for name in recipe["packages"])
    debian.unpack(debian.download(recipe["packages"], work / "debs", log, closure=closure), root)
    entries = {entry.path: entry for entry in oci.tree_entries(root)}
    entries |= {f"bin/{name}": oci.Entry(f"bin/{name}", target="busybox") for name in _applets(recipe, root, entries)}
    for path, link in recipe.get("links", {}).items():
        entries.setdefault(path.strip("/"), oci.Entry(path.strip("/"), target=link))
    entries["tmp"] = oci.Entry("tmp", mode=0o1777)
    oci.write_layer(target / "layer.tar", entries.values())


def _applets(recipe: Mapping[str, Any], root: Path, entries: Mapping[str, oci.Entry]) -> list[str]:
    """The programs for which busybox is to stand; of all that it has, those that no package and no link brings."""
    chosen = recipe.get("applets", ())
    if chosen != "all":
        return list(chosen)
    names = run([root / "bin/busybox", "--list"]).split()
    places = [*entries, *(path.strip("/") for path in recipe.get("links", {}))]
    brought = {path.rsplit("/", 1)[-1] for path in places if path.split("/")[-2:-1] in (["bin"], ["sbin"])}
    return [name for name in names if name not in brought]


def _package(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    known = {name: value for name, value in step.recipe.items() if name in Package.model_fields}
    recipe = Package.model_validate({**known, "repository": ""})
    files = _gather(step, recipe.files, shop.store, work / "texts")
    debian.build_package(step.name, step.recipe["version"], recipe, files, work, target)


def _image(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    recipe = Image.model_validate({name: value for name, value in step.recipe.items() if name in Image.model_fields})
    files = _gather(step, recipe.files, shop.store, work / "texts")
    entries = [
        oci.Entry(
            path,
            source=source,
            mode=0o4755 if recipe.files[path].setuid else 0o755,
            net_bind_service=bool(recipe.files[path].capability),
        )
        for path, source in files.items()
    ]
    entries += [oci.Entry(path) for path in recipe.folders]
    entries += [oci.Entry(path, target=target) for path, target in recipe.links.items()]
    layer = work / "layer.tar"
    oci.write_layer(layer, entries)
    layers = [shop.store.path(step.inputs[f"base:{recipe.base}"].key) / "layer.tar"] if recipe.base else []
    settings = oci.Settings(recipe.entrypoint, recipe.command, recipe.user)
    oci.write_image(target, [*layers, layer], settings, step.recipe["architecture"], step.recipe["reference"])


def _gather(step: Step, files: Mapping[str, File], store: Store, texts: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, file in files.items():
        if file.text is not None:
            place = texts / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text)
            place.chmod(0o644)
            found[path] = place
        elif file.module is not None:
            folder = store.path(step.inputs[file.module].key)
            found |= {f"{path}{name}": folder / name for name in step.inputs[file.module].recipe["programs"]}
        elif file.source is not None:
            found[path] = store.path(step.inputs[file.source].key) / Path(file.source).name
        elif file.program is not None:
            unit, _, name = file.program.rpartition("/")
            found[path] = store.path(step.inputs[unit or name].key) / name
    return found


def _manifest(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    _copy_source(step.recipe, shop, target / step.recipe["path"])


def _source(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    _copy_source(step.recipe, shop, target / Path(step.recipe["source"]).name)


def _copy_source(recipe: Mapping[str, Any], shop: Workshop, place: Path) -> None:
    folder, _ = golang.source(shop.go(), recipe["module"], recipe["module_version"])
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(folder / recipe["source"], place)
    except FileNotFoundError:
        raise MirrorError(f"{recipe['module']} {recipe['module_version']} has no file {recipe['source']}.") from None


def _os_packages(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    log = shop.logs / f"{step.name}.log"
    for package in debian.download(step.recipe["packages"], work / "debs", log, closure=True):
        package.rename(target / package.name)


def _server(step: Step, shop: Workshop, work: Path, target: Path) -> None:
    log = shop.logs / f"{step.name}.log"
    debian.unpack(debian.download(step.recipe["packages"], work / "debs", log, closure=False), target)


_BUILDERS: Mapping[Kind, Callable[[Step, Workshop, Path, Path], None]] = {
    "module": _module,
    "c-program": _c_program,
    "source": _source,
    "base": _base,
    "package": _package,
    "image": _image,
    "manifest": _manifest,
    "os-packages": _os_packages,
    "server": _server,
}
