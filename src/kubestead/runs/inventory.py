"""What the record of a run says of its inventory: a digest, and what stands there in plain words. Ansible is not asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

WANTED = {"cluster": "cluster_name", "kubernetes": "cluster_kubernetes_version"}


def digest(inventory: Path) -> str:
    """``sha256:…`` over names and contents of an inventory's files; empty where one cannot be read.

    The files are those of the folder, or the one file and the ``group_vars`` and ``host_vars`` beside it. Hidden ones do not count.
    """
    whole = hashlib.sha256()
    root = inventory if inventory.is_dir() else inventory.parent
    try:
        for path in files(inventory):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(root)}\0{content}\n".encode())
    except OSError:
        return ""
    return f"sha256:{whole.hexdigest()}"


def files(inventory: Path) -> list[Path]:
    """The files of an inventory in the order of their names."""
    if inventory.is_dir():
        return sorted(_below(inventory))
    beside = [inventory.parent / name for name in ("group_vars", "host_vars")]
    return sorted([inventory, *(path for folder in beside for path in _below(folder))])


def known(inventory: Path) -> dict[str, str]:
    """The cluster's name and the Kubernetes version, where ``group_vars/all`` has them in plain words; else empty."""
    folder = (inventory if inventory.is_dir() else inventory.parent) / "group_vars"
    found = dict.fromkeys(WANTED, "")
    for path in [folder / "all.yml", folder / "all.yaml", *sorted(_below(folder / "all"))]:
        variables = _variables(path)
        for name, variable in WANTED.items():
            value = str(variables.get(variable) or "")
            found[name] = value if value and "{{" not in value else found[name]
    return found


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


class _Loader(yaml.SafeLoader):
    """Reads past tags such as ``!vault``, whose values are not needed here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def _variables(path: Path) -> dict[Any, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
