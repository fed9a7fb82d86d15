from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.modules import files as files_module
from ansible_collections.kubestead.cluster.plugins.modules.files import File, parse, write


@pytest.fixture
def module(fake_module: type[Any], tmp_path: Path) -> Any:
    """A module whose commands refuse a content that says so."""

    def answer(command: list[str], _data: str | None) -> tuple[int, str, str]:
        if command[0] == "systemctl":
            return (1, "", "Job failed.") if "broken.service" in command else (0, "", "")
        bad = "bad" in Path(command[-1]).read_text()
        return (1, "", "line 1: bad\n") if bad else (0, "", "")

    made = fake_module(answer)
    made.tmpdir = str(tmp_path)
    made.atomic_move = shutil.move
    return made


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., File]:
    """A file below a folder that is not there yet."""

    def make(name: str = "a.conf", content: str = "one\n", mode: int = 0o644, **more: Any) -> File:
        return File(str(tmp_path / "etc/own" / name), content, mode, **more)

    return make


def test_files_are_written_with_their_folders_and_the_second_time_not(module: Any, file: Callable[..., File]) -> None:
    files = [file(), file("b.conf", mode=0o600)]
    assert write(module, files)["written"] == [one.path for one in files]
    assert Path(files[0].path).read_text() == "one\n"
    assert [Path(one.path).stat().st_mode & 0o777 for one in files] == [0o644, 0o600]
    assert write(module, files) == {"changed": False, "written": [], "services": [], "diff": []}


def test_only_what_differs_is_written(module: Any, file: Callable[..., File]) -> None:
    write(module, [file(), file("b.conf")])
    untouched = Path(file().path).stat().st_mtime_ns
    assert write(module, [file(), file("b.conf", "two\n")])["written"] == [file("b.conf").path]
    assert Path(file().path).stat().st_mtime_ns == untouched


def test_another_mode_is_a_change(module: Any, file: Callable[..., File]) -> None:
    write(module, [file()])
    (shown,) = write(module, [file(mode=0o600)])["diff"]
    assert Path(file().path).stat().st_mode & 0o777 == 0o600
    assert shown["after_header"].endswith("(mode 0600, was 0644)")


def test_what_only_root_may_read_is_not_shown(module: Any, file: Callable[..., File]) -> None:
    (shown,) = write(module, [file(content="key", mode=0o600)])["diff"]
    assert (shown["before"], shown["after"]) == ("", "")


def test_a_refused_file_keeps_all_from_being_written(module: Any, file: Callable[..., File]) -> None:
    with pytest.raises(KubesteadError) as refused:
        write(module, [file(), file("b.conf", "bad\n", validate=("judge", "-f", "%s"))])
    assert "b.conf was not written, nor any other file: `judge -f %s` ended with 1. It said: line 1: bad" in str(
        refused.value
    )
    assert not Path(file().path).exists()


def test_where_the_judge_is_not_installed_nothing_is_judged(module: Any, file: Callable[..., File]) -> None:
    module.missing.add("judge")
    assert write(module, [file(content="bad\n", validate=("judge", "%s"))])["changed"]


def test_check_mode_predicts_and_writes_nothing(module: Any, file: Callable[..., File]) -> None:
    module.check_mode = True
    result = write(module, [file(restart="a.service")])
    assert (result["written"], result["services"]) == ([file().path], ["a.service"])
    assert module.commands == []
    assert not Path(file().path).exists()


def test_services_take_up_what_was_written_and_nothing_else(module: Any, file: Callable[..., File]) -> None:
    files = [
        file(restart="a.service"),
        file("b.conf", reload="a.service"),
        file("c.conf", reload="c.service"),
        file("d.conf", restart="d.service"),
    ]
    write(module, files[3:])
    module.commands.clear()
    assert write(module, files)["services"] == ["a.service", "c.service"]
    assert module.commands == [["systemctl", "restart", "a.service"], ["systemctl", "reload-or-restart", "c.service"]]


def test_systemd_reads_its_units_before_it_starts_one(
    module: Any, file: Callable[..., File], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files_module, "UNITS", str(tmp_path))
    write(module, [file(restart="a.service")])
    assert module.commands == [["systemctl", "daemon-reload"], ["systemctl", "restart", "a.service"]]


def test_a_service_that_does_not_start_is_said(module: Any, file: Callable[..., File]) -> None:
    with pytest.raises(KubesteadError, match=r"`systemctl restart broken\.service` ended with 1: Job failed"):
        write(module, [file(restart="broken.service")])


def test_a_mode_must_be_octal() -> None:
    with pytest.raises(KubesteadError, match="The mode of /a is 'rw'"):
        parse({"path": "/a", "content": "", "mode": "rw", "validate": []})
