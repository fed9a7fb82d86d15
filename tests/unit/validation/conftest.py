"""Small inventories, loaded by Ansible's own parsers and without a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import (
    Finding,
    Inventory,
    Mirror,
    validate,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import Supported
from ansible_collections.kubestead.cluster.plugins.plugin_utils._inventory import read

ROOT = Path(__file__).parents[3]
SUPPORTED = Supported(
    {"1.35": "1.35.8", "1.36": "1.36.4", "1.37": "1.37.1"},
    {"memory": "too little", "swap": "is on", "cpus": "too few"},
    {
        "1.36": {
            "kubeadm": "1.36.4",
            "containerd.io": "2.3.7",
            "etcd": "registry.k8s.io/etcd:3.6.8-0",
            "agnhost": "registry.k8s.io/e2e-test-images/agnhost:2.59",
            "flannel": "ghcr.io/flannel-io/flannel:v0.28.4",
            "calico-node": "quay.io/calico/node:v3.32.1",
            "calico-cni": "quay.io/calico/cni:v3.32.1",
        }
    },
)
HOSTS = """\
all:
  children:
    control_plane:
      hosts:
        cp-1:
          ansible_host: 192.0.2.11
    workers:
      hosts:
        worker-1:
          ansible_host: 192.0.2.21
"""

Load = Callable[..., Inventory]
Check = Callable[..., list[Finding]]


@pytest.fixture(scope="session")
def options() -> dict[str, dict[str, Any]]:
    text = (ROOT / "roles/cluster/meta/argument_specs.yml").read_text()
    specified: dict[str, dict[str, Any]] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return specified


@pytest.fixture(scope="session")
def plugin_loader() -> None:
    init_plugin_loader()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any], plugin_loader: None) -> Load:
    """A function that writes files into an inventory's folder, which becomes the working directory, and reads them."""

    def load(files: Mapping[str, str], extra: Mapping[str, Any] | None = None, source: str = "hosts.yml") -> Inventory:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.chdir(tmp_path)
        loader = DataLoader()
        loader.set_basedir(str(tmp_path / "playbooks"))
        manager = InventoryManager(loader, sources=[str(tmp_path / source)])
        variables = VariableManager(loader, manager)
        variables._extra_vars = {
            name: trust_as_template(value) if isinstance(value, str) else value for name, value in (extra or {}).items()
        }
        hostvars = HostVars(manager, variables, loader)
        defaults = {name: option.get("default") for name, option in options.items()}
        return read(hostvars, Templar(loader), loader, defaults)

    return load


@pytest.fixture
def check(load: Load, options: Mapping[str, Mapping[str, Any]]) -> Check:
    """A function that validates the inventory made of a ``cluster.yml`` and other files, hosts.yml if it lacks."""

    def check(
        cluster: str = "",
        files: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        mirror: Mirror | None = None,
        source: str = "hosts.yml",
    ) -> list[Finding]:
        written = {**({} if files and source in files else {"hosts.yml": HOSTS}), **(files or {})}
        if cluster:
            written["group_vars/all/cluster.yml"] = cluster
        return validate(load(written, extra, source), options, SUPPORTED, mirror)

    return check
