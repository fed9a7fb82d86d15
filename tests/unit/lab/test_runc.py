"""runc's wrapper, for Docker on machines that refuse lower OOM scores."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kubestead.lab.lab import RUNC, Lab

from .conftest import FakeDocker

INVENTORIES = Path(__file__).parents[3]


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """The wrapper before a runc that tells what it was called with."""
    real = tmp_path / "real"
    real.write_text('#!/bin/sh\necho "$@"\n')
    real.chmod(0o755)
    wrapper = tmp_path / "runc"
    wrapper.write_text(RUNC.read_text().replace("/usr/bin/runc /usr/sbin/runc", str(real)))
    wrapper.chmod(0o755)
    return wrapper


@pytest.mark.parametrize(
    ("command", "score", "left"), [("create", -998, 0), ("create", 1000, 1000), ("run", -5, 0), ("start", -998, -998)]
)
def test_no_container_asks_for_a_lower_score(
    wrapped: Path, tmp_path: Path, command: str, score: int, left: int
) -> None:
    config = tmp_path / "bundle/config.json"
    config.parent.mkdir()
    write(config, {"process": {"oomScoreAdj": score}})
    arguments = ["--root", "/run/docker", command, "--bundle", str(config.parent), "id"]
    said = subprocess.run([str(wrapped), *arguments], capture_output=True, text=True, check=True).stdout
    assert said.split() == arguments
    assert json.loads(config.read_text())["process"]["oomScoreAdj"] == left


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nothing_gets_the_capability_that_the_machine_lacks(wrapped: Path, tmp_path: Path, place: int) -> None:
    capabilities = ["CAP_CHOWN", "CAP_KILL"]
    process = tmp_path / "process.json"
    write(process, {"capabilities": {"bounding": [*capabilities[:place], "CAP_SYS_RESOURCE", *capabilities[place:]]}})
    subprocess.run([str(wrapped), "exec", "--process", str(process), "--detach", "id"], check=True)
    assert json.loads(process.read_text()) == {"capabilities": {"bounding": capabilities}}


def write(file: Path, content: object) -> None:
    """As Docker and containerd do, without a space."""
    file.write_text(json.dumps(content, separators=(",", ":")))


def test_without_a_runc_it_says_so(wrapped: Path, tmp_path: Path) -> None:
    (tmp_path / "real").unlink()
    run = subprocess.run([str(wrapped), "--version"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (127, "kubestead: there is no runc\n")


@pytest.mark.parametrize(
    ("inventory", "missing", "wrapped"),
    [
        ("tests/integration/inventory-docker", ("SYS_RESOURCE",), True),
        ("tests/integration/inventory-docker", (), False),
        ("inventories/lab", ("SYS_RESOURCE",), False),
    ],
)
def test_only_docker_on_such_a_machine_gets_it(
    fake_docker: FakeDocker, inventory: str, missing: tuple[str, ...], wrapped: bool
) -> None:
    lab = Lab(INVENTORIES / inventory)
    lab.machine = replace(lab.machine, missing_capabilities=missing)
    lab._start(lab.plan.nodes[0], {}, [], "key", "image:1")
    written = [call for call in fake_docker.calls() if call[0] == "exec" and "/usr/local/sbin/runc" in call[-1]]
    assert bool(written) is wrapped
