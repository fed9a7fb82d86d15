from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kubestead.lab import engine
from kubestead.lab.commands import CommandError
from kubestead.lab.engine import Docker
from kubestead.lab.errors import LabError

from .conftest import FakeDocker

Text = Callable[[str], str]


def test_an_engine_describes_itself(recorded: Text) -> None:
    found = engine.parse_engine(json.loads(recorded("docker-info.json")), ours=True)
    assert found is not None
    assert (found.version, found.storage_driver, found.cgroup_version) == ("20.10.24+dfsg1", "overlay2", 1)
    assert (found.rootless, found.ours) == (False, True)


def test_a_rootless_engine_is_recognised(recorded: Text) -> None:
    said = json.loads(recorded("docker-info.json")) | {"SecurityOptions": ["name=seccomp", "name=rootless"]}
    found = engine.parse_engine(said, ours=False)
    assert found is not None
    assert found.rootless


def test_a_bare_client_is_no_engine(recorded: Text, fake_docker: FakeDocker) -> None:
    fake_docker.answer("info", text=recorded("docker-info-no-engine.json"))
    assert Docker().engine() is None
    fake_docker.answer("info", code=1, text="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
    assert Docker().engine() is None


def test_a_running_engine_is_used_as_it_is(
    recorded: Text, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker.answer("info", text=recorded("docker-info.json"))
    monkeypatch.setattr(engine, "start", lambda docker: pytest.fail("started a second engine"))
    monkeypatch.setattr(engine, "install", lambda: pytest.fail("installed Docker"))
    assert engine.ensure(Docker(), print).version == "20.10.24+dfsg1"


def test_no_engine_and_no_root_says_what_to_do(fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_docker.answer("info", code=1, text="Cannot connect to the Docker daemon")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="systemctl start docker"):
        engine.ensure(Docker(), print)


def test_an_engine_that_this_user_may_not_use_is_not_replaced(fake_docker: FakeDocker) -> None:
    fake_docker.answer("info", code=1, text="permission denied while trying to connect to the Docker daemon socket")
    with pytest.raises(LabError, match="group `docker`"):
        engine.ensure(Docker(), print)


def test_a_rootless_engine_is_refused(recorded: Text, fake_docker: FakeDocker) -> None:
    said = json.loads(recorded("docker-info.json")) | {"SecurityOptions": ["name=rootless"]}
    fake_docker.answer("info", text=json.dumps(said))
    with pytest.raises(LabError, match="docker context use default"):
        engine.ensure(Docker(), print)


@pytest.mark.parametrize(
    "said",
    [
        "Error response from daemon: network nowhere not found",
        "Error response from daemon: No such container: nowhere",
        "Error: No such object: nowhere",
        "Error response from daemon: no such image: nowhere: No such image: nowhere:latest",
    ],
)
def test_what_is_not_there_is_none(fake_docker: FakeDocker, said: str) -> None:
    fake_docker.answer("network", "inspect", code=1, text=said)
    assert Docker().inspect("network", "nowhere") is None


def test_other_failures_quote_the_command(fake_docker: FakeDocker) -> None:
    fake_docker.answer("network", "inspect", code=1, text="Error response from daemon: i/o timeout")
    with pytest.raises(CommandError, match=r"docker network inspect two: ended with code 1\n.*i/o timeout"):
        Docker().inspect("network", "two")


def test_a_process_of_another_engine_is_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "RUN", tmp_path)
    assert engine.our_process() is None
    (tmp_path / "dockerd.pid").write_text(str(os.getpid()))
    assert engine.our_process() is None


def test_stopping_without_an_engine_of_ours_does_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "RUN", tmp_path / "none")
    assert engine.stop() is False
