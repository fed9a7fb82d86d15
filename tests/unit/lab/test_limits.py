from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from kubestead.lab.engine import Engine
from kubestead.lab.limits import Finding, Level, Situation, findings, node_arguments
from kubestead.lab.machine import Resolvers

from .conftest import machine_of

ENGINE = Engine("28.2.2", "laptop", "Debian GNU/Linux 13", "overlay2", 2, "/var/lib/docker", rootless=False, ours=False)
LAPTOP = Situation(machine_of(), ENGINE, privileged=True, image="kubestead-lab-node:1")


def finding(situation: Situation, name: str) -> Finding:
    return next(entry for entry in findings(situation) if entry.name == name)


def pairs(arguments: list[str], option: str) -> list[str]:
    return [value for key, value in pairwise(arguments) if key == option]


def test_a_laptop_gets_no_workaround() -> None:
    arguments = node_arguments(LAPTOP)
    assert "--privileged" in arguments
    assert not pairs(arguments, "--cap-add")
    assert "/lib/modules:/lib/modules:ro" in pairs(arguments, "--volume")
    levels = {entry.name: entry.level for entry in findings(LAPTOP)}
    assert {name for name, level in levels.items() if level != Level.FINE} == {"resolvers"}


def test_without_a_capability_nodes_get_the_others_one_by_one() -> None:
    situation = replace(LAPTOP, machine=machine_of(missing_capabilities=("SYS_RESOURCE",)), privileged=False)
    arguments = node_arguments(situation)
    assert "--privileged" not in arguments
    assert pairs(arguments, "--cap-add") == ["ALL"]
    assert pairs(arguments, "--cap-drop") == ["SYS_RESOURCE"]
    assert "systempaths=unconfined" in pairs(arguments, "--security-opt")
    assert "/dev/kmsg:/dev/kmsg" in pairs(arguments, "--volume")
    assert "OOM" in finding(situation, "privileges").effect


def test_what_was_tried_counts_more_than_what_was_expected() -> None:
    limited = machine_of(missing_capabilities=("SYS_RESOURCE",))
    assert "--privileged" in node_arguments(replace(LAPTOP, machine=limited, privileged=True))
    assert "--privileged" not in node_arguments(replace(LAPTOP, privileged=False))
    assert "--privileged" not in node_arguments(replace(LAPTOP, machine=limited, privileged=None))


def test_without_a_module_folder_none_is_mounted() -> None:
    situation = replace(LAPTOP, machine=machine_of(module_folder=False))
    assert not any("/lib/modules" in volume for volume in pairs(node_arguments(situation), "--volume"))
    assert finding(situation, "modules").level == Level.HANDLED


@pytest.mark.parametrize("privileged", [True, False])
def test_every_node_has_disks_of_its_own_and_a_private_cgroup_tree(privileged: bool) -> None:
    arguments = node_arguments(replace(LAPTOP, privileged=privileged))
    assert {"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd"} <= set(pairs(arguments, "--volume"))
    assert "--cgroupns=private" in arguments
    assert "/tmp:exec,mode=1777" in pairs(arguments, "--tmpfs")


@pytest.mark.parametrize(
    ("situation", "name", "level", "words"),
    [
        (replace(LAPTOP, engine=None), "engine", Level.BLOCKING, "systemctl start docker"),
        (replace(LAPTOP, engine=None, machine=machine_of(root=True)), "engine", Level.HANDLED, "installs docker.io"),
        (replace(LAPTOP, engine=replace(ENGINE, rootless=True)), "engine", Level.BLOCKING, "root"),
        (replace(LAPTOP, engine=replace(ENGINE, system="Docker Desktop")), "engine", Level.BLOCKING, "docker context"),
        (replace(LAPTOP, engine=replace(ENGINE, cgroup_version=1)), "cgroups", Level.HANDLED, "failCgroupV1"),
        (replace(LAPTOP, machine=machine_of(system="Darwin")), "platform", Level.BLOCKING, "virtual machine"),
        (replace(LAPTOP, machine=machine_of(memory_available=900)), "memory", Level.WARNING, "1500 MiB"),
        (replace(LAPTOP, machine=machine_of(disk_available=3_000)), "disk", Level.WARNING, "XDG_CACHE_HOME"),
        (replace(LAPTOP, machine=machine_of(disk_available=60_000)), "disk", Level.HANDLED, "85 %"),
        (replace(LAPTOP, machine=machine_of(resolvers=Resolvers())), "resolvers", Level.WARNING, "--resolver"),
        (replace(LAPTOP, machine=machine_of(inotify_instances=128)), "inotify", Level.HANDLED, "max_user_instances"),
        (replace(LAPTOP, machine=machine_of(open_files=1024)), "open-files", Level.WARNING, "4096"),
        (
            replace(LAPTOP, machine=machine_of(features={"vxlan": "missing", "wireguard": "missing"})),
            "kernel",
            Level.BLOCKING,
            "Without vxlan",
        ),
        (
            replace(LAPTOP, machine=machine_of(features={"wireguard": "missing"})),
            "kernel-options",
            Level.WARNING,
            "encrypted",
        ),
    ],
)
def test_findings_say_cause_effect_and_remedy(situation: Situation, name: str, level: Level, words: str) -> None:
    found = finding(situation, name)
    assert found.level == level
    assert words in f"{found.effect} {found.remedy}"
    if level != Level.FINE:
        assert found.effect


def test_every_finding_has_a_name_of_its_own() -> None:
    names = [entry.name for entry in findings(LAPTOP)]
    assert len(names) == len(set(names))
