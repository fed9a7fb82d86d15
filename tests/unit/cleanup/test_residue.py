"""The comparison that the integration tests rely on."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

INTEGRATION = Path(__file__).parents[2] / "integration"


@pytest.fixture(scope="module")
def residue() -> ModuleType:
    spec = importlib.util.spec_from_file_location("residue", INTEGRATION / "residue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_new_gone_or_different_is_told(residue: ModuleType) -> None:
    before = {"files": {"/etc/a": "1", "/etc/b": "1", "/etc/same": "1"}, "links": {"eth0": ""}}
    after = {"files": {"/etc/a": "2", "/etc/c": "1", "/etc/same": "1"}, "links": {"eth0": "", "cni0": "bridge"}}
    found = residue.difference(before, after)
    assert found == {
        "files": {"/etc/a": ("1", "2"), "/etc/b": ("1", None), "/etc/c": (None, "1")},
        "links": {"cni0": (None, "bridge")},
    }
    assert residue.report(found).splitlines() == [
        "files:",
        "  ~ /etc/a  1 -> 2",
        "  - /etc/b  1",
        "  + /etc/c  1",
        "links:",
        "  + cni0  bridge",
    ]


def test_what_is_volatile_or_allowed_is_left_out(residue: ModuleType) -> None:
    before: dict[str, dict[str, str]] = {}
    after = {"files": {"/var/log/dpkg.log": "1", "/etc/kubernetes": "1"}, "sysctls": {"kernel.panic": "10"}}
    assert set(residue.difference(before, after, {})) == {"files", "sysctls"}
    assert residue.difference(before, after, {"sysctls": ["kernel.panic"], "files": ["/etc/kube*"]}) == {}
    assert set(residue.difference(before, after)) == {"files"}


def test_the_probe_speaks_json_on_a_machine_that_has_little() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv = ['-']; import residue_probe as probe; probe.ROOTS = (); probe.main()",
        ],
        cwd=INTEGRATION,
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    snapshot = json.loads(done.stdout)
    assert {"files", "links", "mounts", "processes", "sysctls", "firewall", "units"} <= set(snapshot)
    assert snapshot["mounts"]
