"""Build hook: a wheel carries the collection beside the Python package, so that one ``pip install`` gives both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("galaxy.yml", "README.md", "CHANGELOG.md", "LICENSE", "meta", "playbooks", "plugins", "roles")


class CollectionHook(BuildHookInterface[Any]):
    """Puts the collection under ``ansible_collections/kubestead/cluster`` of a wheel, and its settings and the lab into the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files to a standard wheel; an editable install serves the live tree through its .pth."""
        if version != "standard":
            return
        for part in PARTS:
            build_data["force_include"][str(Path(self.root, part))] = f"ansible_collections/kubestead/cluster/{part}"
        build_data["force_include"][str(Path(self.root, "ansible.cfg"))] = "kubestead/ansible.cfg"
        build_data["force_include"][str(Path(self.root, "inventories/lab"))] = "kubestead/inventories/lab"
