"""Thirty times the controller dies somewhere in an operation on a cluster at work, and the same command again finishes it.

`pytest -s` shows where each of them was hit. Another seed hits elsewhere: KUBESTEAD_SEED=7.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from .cluster import Cluster
from .failures.client import Writer, lost
from .failures.whole import Observer, wait_until_steady

pytestmark = pytest.mark.full
SEED = int(os.environ.get("KUBESTEAD_SEED", "20261121"))
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
WORD = "what-no-operation-may-lose"
# Ten writes in a second, for longer than any run and its repetition take.
WRITES = 6000
# Seconds within which the cluster is whole after a run.
WHOLE = 120
# What changes settings, without what only looks at the machines.
SITE = ("site.yml", "--tags", "bootstrap,join")


@dataclass(frozen=True)
class Operation:
    """A command for a cluster.

    :ivar seconds: within which the controller dies; less than the operation takes.
    :ivar without: a node that the cluster does not have afterwards.
    :ivar forgets: whether it takes back what was written meanwhile.
    """

    name: str
    seconds: float
    words: tuple[str, ...]
    without: str = ""
    forgets: bool = False


def removal(node: str, seconds: float) -> tuple[Operation, Operation]:
    """A node leaves, and comes back."""
    return (
        Operation(f"remove {node}", seconds, ("playbooks/remove.yml", "-e", f"remove_nodes={node}"), without=node),
        Operation(f"add {node}", seconds, ("playbooks/add.yml",)),
    )


SETTINGS = (
    Operation("change settings", 30, (*SITE, "-e", "cluster_node_port_range=30000-32000")),
    Operation("change settings back", 30, SITE),
)
RENEW = (
    Operation("renew certificates", 40, ("playbooks/renew_certificates.yml", "-e", "control_plane_renew_force=true")),
)
ROTATE = (Operation("rotate the encryption key", 25, ("playbooks/rotate_encryption_key.yml",)),)
BACK_UP = (Operation("back up", 5, ("playbooks/etcd_backup.yml",)),)
DEFRAGMENT = (Operation("defragment", 5, ("playbooks/etcd_defragment.yml",)),)
RESTORE = (Operation("restore", 35, ("playbooks/etcd_restore.yml",), forgets=True),)


def schedule(seed: int) -> list[tuple[float, Operation]]:
    """Thirty operations in an order of chance, each with the moment (seconds from its start) at which the controller dies."""
    chance = random.Random(seed)
    groups = [
        *(removal(f"control-plane-{number}", 25) for number in (1, 2, 3)),
        *(removal(worker, 15) for worker in ("worker-1", "worker-2", "worker-2")),
        *(SETTINGS, SETTINGS, SETTINGS, RENEW, RENEW, RENEW, ROTATE, ROTATE, ROTATE),
        *(BACK_UP, BACK_UP, DEFRAGMENT, DEFRAGMENT, RESTORE, RESTORE),
    ]
    chance.shuffle(groups)
    return [(chance.uniform(2, operation.seconds), operation) for group in groups for operation in group]


KILLS = schedule(SEED)


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    """Looks at the cluster, which holds a Secret that is there to the end."""
    first = ha_cluster.host(ha_cluster.control_planes[0])
    secret = f"{KUBECTL} create secret generic kept --from-literal=word={WORD} --dry-run=client --output=json"
    first.check_output(f"{secret} | {KUBECTL} apply --filename=-")
    return Observer(ha_cluster)


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture
def writer(observer: Observer) -> Iterator[Writer]:
    with Writer(observer.endpoint, WRITES) as writer:
        yield writer


def words(operation: Operation, cluster: Cluster, backups: Path) -> Sequence[str]:
    """The command with what only this cluster knows."""
    folder = ("-e", f"etcd_backup_directory={backups}")
    if operation.forgets:
        cluster.play("playbooks/etcd_backup.yml", *folder).raise_for_failure()
        snapshot = max(backups.glob("etcd-*.db"))
        folder = ("-e", f"etcd_restore_snapshot={snapshot}")
    return (*operation.words, *folder, "-e", f"etcd_restore_confirm={cluster.name}")


def kill(cluster: Cluster, command: Sequence[str], moment: float) -> str:
    """Start a command and end its processes at a moment as a power cut would; the task at which that was."""
    run = cluster.start(*command)
    lines: list[str] = []
    reader = Thread(target=lambda: lines.extend(run.stdout or ()), daemon=True)
    reader.start()
    time.sleep(moment)
    assert run.poll() is None, "the run was over before it could be disturbed:\n" + "".join(lines[-30:])
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(timeout=60)
    reader.join(timeout=60)
    return next(
        (line.split("[", 1)[1].split("]")[0] for line in reversed(lines) if line.startswith("TASK [")), "none yet"
    )


def check_nothing_is_lost(cluster: Cluster, asked: str) -> None:
    """The Secret can still be read, and the authority is the one of before."""
    host = cluster.host(asked)
    assert host.check_output(f"{KUBECTL} get secret kept --output=jsonpath='{{.data.word}}' | base64 --decode") == WORD


@pytest.mark.parametrize("number", range(len(KILLS)), ids=[f"{number + 1:02}" for number in range(len(KILLS))])
def test_the_same_command_finishes_what_a_dead_controller_left(
    ha_cluster: Cluster, observer: Observer, writer: Writer, backups: Path, number: int
) -> None:
    moment, operation = KILLS[number]
    command = words(operation, ha_cluster, backups)
    authority = digests(ha_cluster)
    writer.warm_up(1)
    task = kill(ha_cluster, command, moment)
    started = time.monotonic()
    run = ha_cluster.play(*command)
    took = time.monotonic() - started
    print(
        f"\n{number + 1:2} {operation.name}: killed after {moment:4.1f} s at '{task}'; again: {run.code} in {took:.1f} s"
    )
    run.raise_for_failure()
    writer.stop()
    if not operation.forgets:
        asked = next(node for node in ha_cluster.control_planes if node != operation.without)
        assert lost(writer.acknowledged, writer.present(lambda seconds: observer.api_server(asked, seconds))) == []
    staying = [node for node in ha_cluster.control_planes if node != operation.without]
    check_nothing_is_lost(ha_cluster, staying[0])
    assert digests(ha_cluster) <= authority, "the authority is the one of before"
    if operation.without:
        assert operation.without not in nodes(ha_cluster, staying[0])
    else:
        assert wait_until_steady(observer.defects, least=0, within=WHOLE).missing == ()
        assert nodes(ha_cluster, staying[0]) == set(ha_cluster.nodes)


def test_in_the_end_there_is_nothing_to_do(ha_cluster: Cluster, observer: Observer) -> None:
    assert ha_cluster.play("site.yml").raise_for_failure().changed == {}


def nodes(cluster: Cluster, asked: str) -> set[str]:
    """The nodes that a control plane knows."""
    return {
        line.removeprefix("node/") for line in cluster.host(asked).check_output(f"{KUBECTL} get nodes -o name").split()
    }


def digests(cluster: Cluster) -> set[str]:
    """Of the certificate authority, on all control planes that have it."""
    command = "cd /etc/kubernetes/pki && sha256sum ca.crt ca.key etcd/ca.crt sa.key"
    runs = [cluster.host(node).run(command) for node in cluster.control_planes]
    return {run.stdout for run in runs if run.rc == 0}
