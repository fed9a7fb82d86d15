from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _cleanup_runtime
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_runtime import Runtime
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

SHIM = "/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0abc\0-address\0/run/containerd/containerd.sock\0"
ACTIVE = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
CRICTL = "crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 60s"


def node(**more: Any) -> dict[str, Any]:
    """The answers of a node whose containerd runs and has nothing."""
    return {
        "systemctl show": ACTIVE,
        "systemctl": "",
        "ctr": "",
        CRICTL: json.dumps({"items": []}),
        "umount": "",
        **more,
    }


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[int]:
    """The processes that were killed; they disappear from the machine."""
    dead: list[int] = []

    def kill(process: int, number: int) -> None:
        assert number == signal.SIGKILL
        dead.append(process)
        for path in (root / f"proc/{process}/cmdline", root / "sys/fs/cgroup/kubepods.slice/cgroup.procs"):
            path.unlink(missing_ok=True)

    monkeypatch.setattr(_cleanup_runtime.os, "kill", kill)
    return dead


def test_all_pods_are_removed_at_once(machine: Callable[..., Machine]) -> None:
    pods = {"items": [{"id": "a"}, {"id": "b"}]}
    here = machine(node(**{f"{CRICTL} pods --output json": json.dumps(pods), f"{CRICTL} rmp": ""}))
    Runtime(here).clean()
    fake: Any = here.module
    assert fake.ran(f"{CRICTL} rmp --force a b")
    assert here.removed == ["2 pods"]


def test_a_clean_node_is_left_alone(machine: Callable[..., Machine]) -> None:
    here = machine(node())
    Runtime(here).clean()
    assert here.removed == []


def test_containers_that_stay_are_an_error(machine: Callable[..., Machine]) -> None:
    here = machine(node(**{"ctr --namespace k8s.io containers list --quiet": "stuck\n"}))
    with pytest.raises(KubesteadError, match="stuck"):
        Runtime(here).clean()
    fake: Any = here.module
    assert fake.ran("ctr --namespace k8s.io tasks delete --force stuck")


def test_processes_of_pods_are_killed_where_no_runtime_answers(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], killed: list[int]
) -> None:
    write("/proc/41/cmdline", SHIM)
    write("/proc/42/cmdline", SHIM.replace("k8s.io", "moby"))
    write("/proc/43/cmdline", "vi\0k8s.io\0")
    write("/sys/fs/cgroup/kubepods.slice/cgroup.procs", "51\n52\n0\n")
    stopped = ACTIVE.replace("=active", "=inactive").replace("=loaded", "=not-found")
    here = machine({"systemctl show": stopped, "umount": ""})
    Runtime(here).clean()
    assert set(killed) == {41, 51, 52}
    assert here.removed == ["processes of pods (3)"]


def test_a_runtime_that_was_stopped_is_started_for_its_pods(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], killed: list[int]
) -> None:
    write("/proc/41/cmdline", SHIM)
    here = machine(node(**{"systemctl show": ACTIVE.replace("=active", "=inactive")}))
    Runtime(here).clean()
    fake: Any = here.module
    assert fake.ran("systemctl start containerd.service")


def test_check_mode_starts_and_kills_nothing(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], killed: list[int]
) -> None:
    write("/proc/41/cmdline", SHIM)
    here = machine(node(**{"systemctl show": ACTIVE.replace("=active", "=inactive")}), check_mode=True)
    Runtime(here).clean()
    fake: Any = here.module
    assert killed == []
    assert not fake.ran("systemctl start")
    assert here.removed == ["processes of pods (1)"]


def test_others_are_namespaces_with_containers(machine: Callable[..., Machine]) -> None:
    here = machine(
        {
            "ctr namespaces list": "default\nk8s.io\nmoby\n",
            "ctr": "",
            "ctr --namespace k8s.io containers list": "a\n",
            "ctr --namespace moby containers list": "b\n",
        }
    )
    assert Runtime(here).others() == ["moby"]


DOCKER_PS = "docker ps --all --quiet"
DOCKER_OURS = f"{DOCKER_PS} --filter=label=io.kubernetes.pod.uid"
CRI_DOCKERD = "crictl --runtime-endpoint unix:///run/cri-dockerd.sock --timeout 60s"


@pytest.fixture
def on_docker(write: Callable[[str, str], Path]) -> None:
    """A machine whose runtime is Docker."""
    write(_cleanup_runtime.CRI_DOCKERD, "# Written by Kubestead.\n[Unit]\n")


@pytest.mark.usefixtures("on_docker")
def test_dockers_pods_are_removed_through_cri_dockerd(machine: Callable[..., Machine]) -> None:
    pods = json.dumps({"items": [{"id": "a"}]})
    here = machine(node(**{f"{CRI_DOCKERD} pods --output json": pods, f"{CRI_DOCKERD} rmp": "", "docker": ""}))
    Runtime(here).clean()
    fake: Any = here.module
    assert fake.ran(f"{CRI_DOCKERD} rmp --force a")
    assert not fake.ran("ctr")


@pytest.mark.usefixtures("on_docker")
def test_what_docker_keeps_of_pods_is_an_error(machine: Callable[..., Machine]) -> None:
    nothing = {f"{CRI_DOCKERD} pods --output json": json.dumps({"items": []})}
    here = machine(node(**nothing, **{"docker": "", DOCKER_OURS: "stuck\n"}))
    with pytest.raises(KubesteadError, match=r"Docker keeps 1 containers.*systemctl restart docker"):
        Runtime(here).clean()
    fake: Any = here.module
    assert fake.ran("docker rm --force --volumes stuck")


@pytest.mark.usefixtures("on_docker")
@pytest.mark.parametrize(("everything", "others"), [("a b", []), ("a b c", ["moby"])])
def test_others_are_dockers_own_containers(machine: Callable[..., Machine], everything: str, others: list[str]) -> None:
    here = machine({"ctr": "", "ctr namespaces list": "moby\n", DOCKER_PS: everything, DOCKER_OURS: "a b"})
    assert Runtime(here).others() == others
