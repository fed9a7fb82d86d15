"""What the scenarios' tests share. They look at the nodes over SSH, from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

ROOT = Path(__file__).resolve().parent.parent
KUBECONFIG = "/etc/kubernetes/admin.conf"


@pytest.fixture(scope="session")
def release() -> dict[str, Any]:
    """The default release as the catalogue has it: versions, packages, images."""
    text = (ROOT / "roles/cluster/vars/main/catalogue.yml").read_text(encoding="utf-8")
    catalogue = yaml.safe_load(text)["__cluster_catalogue"]
    chosen: dict[str, Any] = catalogue["releases"][catalogue["default"]]
    return chosen


@pytest.fixture(scope="session")
def addresses() -> dict[str, str]:
    """The nodes' addresses by name, and the mirror's as ``mirror``."""
    inventory = ROOT / "molecule/inventory"
    groups = yaml.safe_load((inventory / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    return {name: host["ansible_host"] for group in groups.values() for name, host in group.get("hosts", {}).items()}


@pytest.fixture
def name(host: Host) -> str:
    """The node's name in the inventory."""
    return str(host.backend.hostname)


@pytest.fixture
def kubectl(host: Host) -> Callable[[str], Any]:
    """Asks the cluster from a control plane; the answer is parsed JSON."""

    def ask(arguments: str) -> Any:
        return json.loads(host.check_output(f"kubectl --kubeconfig {KUBECONFIG} {arguments} --output json"))

    return ask


@pytest.fixture
def images(host: Host) -> set[str]:
    """The names of the images on the node."""
    listed = json.loads(host.check_output("crictl images --output json"))
    return {tag for image in listed["images"] for tag in image["repoTags"]}
