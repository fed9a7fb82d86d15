"""Hosts that cannot be worked on, and a controller whose disk or terminal fails: each said in one message, on real nodes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubestead.paths import state_dir

from .cluster import ROOT, Cluster

KUBESTEAD = str(Path(sys.executable).with_name("kubestead"))
WORKER, CONTROL_PLANE = "worker-1", "control-plane-1"
# Preflight looks at every machine, and changes nothing.
LOOK = ("apply", "--tags", "preflight")
Outcome = subprocess.CompletedProcess[str]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Without connections that earlier tests have left open, and with one try for each new one."""
    with tempfile.TemporaryDirectory(prefix="kubestead-") as sockets:  # sockets have short paths
        yield {**os.environ, "CI": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets, "ANSIBLE_SSH_RETRIES": "0"}


@pytest.fixture
def kubestead(environment: dict[str, str]) -> Callable[..., Outcome]:
    def run(inventory: Path, *words: str, **more: str) -> Outcome:
        own, dashes, rest = (list(words), [], []) if "--" not in words else _parted(words)
        command = [KUBESTEAD, *own, "-i", str(inventory), *dashes, *rest]
        return subprocess.run(
            command, cwd=ROOT, env={**environment, **more}, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def _parted(words: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    place = words.index("--")
    return list(words[:place]), ["--"], list(words[place + 1 :])


@pytest.fixture
def inventory(cluster: Cluster, tmp_path: Path) -> Callable[..., Path]:
    """The cluster's inventory, with variables of worker-1's own."""

    def changed(**variables: Any) -> Path:
        folder = tmp_path / "inventory"
        shutil.copytree(cluster.inventory, folder)
        hosts = yaml.safe_load((folder / "hosts.yml").read_text())
        hosts["all"]["children"]["workers"]["hosts"][WORKER].update(variables)
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        return folder

    return changed


def finding(run: Outcome, name: str) -> str:
    """What preflight has found under this name, on worker-1 alone; nothing was changed."""
    assert run.returncode == 1, run.stdout
    assert "1 must be settled first; nothing was changed" in run.stdout
    machine = run.stdout.partition(f"  | {WORKER}:\n")[2].partition("\n\n")[0]
    (line,) = [line for line in machine.splitlines() if f" {name}: " in line]
    assert f"  | {CONTROL_PLANE}:\n" in run.stdout or "cgroup-v1" not in run.stdout, "the others were looked at too"
    return line + run.stdout.partition(f"  | {name}: ")[2].partition("\n\n")[0]


def test_a_wrong_key(kubestead: Callable[..., Outcome], inventory: Callable[..., Path], tmp_path: Path) -> None:
    key = tmp_path / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    folder = inventory(ansible_ssh_private_key_file=str(key), ansible_ssh_extra_args="-o IdentitiesOnly=yes")
    said = finding(kubestead(folder, *LOOK), "login-refused")
    assert "Permission denied" in said
    assert "ssh-copy-id" in said


@pytest.fixture
def operator(cluster: Cluster) -> Iterator[str]:
    """A user of worker-1 whom sudo asks for a password; gives it."""
    node = cluster.host(WORKER)
    node.check_output("apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq sudo")
    node.check_output("useradd --create-home --shell /bin/bash anna && echo anna:of-the-day | chpasswd")
    node.check_output("install -d -m 700 -o anna /home/anna/.ssh")
    node.check_output("install -m 600 -o anna /root/.ssh/authorized_keys /home/anna/.ssh/authorized_keys")
    node.check_output("echo 'anna ALL=(ALL) ALL' >/etc/sudoers.d/anna")
    yield "of-the-day"
    node.check_output("rm -f /etc/sudoers.d/anna; pkill -u anna; userdel --remove anna 2>&1; true")
    node.check_output("DEBIAN_FRONTEND=noninteractive SUDO_FORCE_REMOVE=yes apt-get purge -y -qq sudo")


def test_sudo_that_asks_for_a_password(
    kubestead: Callable[..., Outcome], inventory: Callable[..., Path], operator: str, tmp_path: Path
) -> None:
    folder = inventory(ansible_user="anna", ansible_become=True)
    said = finding(kubestead(folder, *LOOK), "become-password")
    assert "Missing sudo password" in said
    assert "NOPASSWD" in said
    status = kubestead(folder, "status")
    assert f"{WORKER} wants a password before the user may become root." in status.stderr
    (tmp_path / "password").write_text(operator)
    assert kubestead(folder, *LOOK, "--", "--become-password-file", str(tmp_path / "password")).returncode == 0
    (tmp_path / "password").write_text("of-yesterday")
    wrong = kubestead(folder, *LOOK, "--", "--become-password-file", str(tmp_path / "password"))
    assert "Incorrect sudo password" in finding(wrong, "become-password")


@pytest.fixture
def without_python(cluster: Cluster) -> Iterator[None]:
    node = cluster.host(WORKER)
    node.check_output("mkdir /root/hidden && mv /usr/bin/python3* /root/hidden/")
    yield
    node.check_output("mv /root/hidden/* /usr/bin/ && rmdir /root/hidden")


@pytest.mark.usefixtures("without_python")
def test_a_node_without_python(kubestead: Callable[..., Outcome], inventory: Callable[..., Path]) -> None:
    folder = inventory()
    said = finding(kubestead(folder, *LOOK), "not-examined")
    assert "'/usr/bin/python3' was not found" in said
    assert "Install Python 3.9 or newer" in said
    status = kubestead(folder, "status")
    assert f"{WORKER} has no Python where Ansible looks for it." in status.stderr


def test_a_host_that_does_not_answer_is_named_and_the_others_are_asked(
    kubestead: Callable[..., Outcome], inventory: Callable[..., Path]
) -> None:
    folder = inventory(ansible_host="172.29.98.99")
    assert "172.29.98.99" in finding(kubestead(folder, *LOOK), "unreachable")
    status = kubestead(folder, "status", "--json")
    assert f"Failed on {WORKER}\n" in status.stderr
    assert f"{WORKER} did not answer over SSH." in status.stderr
    problems = json.loads(status.stdout)["problems"]
    assert f"{WORKER} gave no answer, so nothing is known of the machine itself" in problems
    assert not [problem for problem in problems if CONTROL_PLANE in problem and "no answer" in problem]


def test_a_vault_without_its_password(
    kubestead: Callable[..., Outcome], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    folder = inventory()
    (tmp_path / "password").write_text("open sesame")
    secret = folder / "group_vars/all/vault.yml"
    secret.write_text("my_secret: 1\n")
    vault = Path(sys.executable).with_name("ansible-vault")
    subprocess.run([vault, "encrypt", "--vault-password-file", tmp_path / "password", secret], check=True)
    for words in (("validate",), ("reset", "--yes"), ("rebuild", "--yes")):
        run = kubestead(folder, *words)
        assert run.returncode == 1
        assert "add: -- --vault-password-file FILE" in run.stdout + run.stderr
    assert kubestead(folder, "validate", "--", "--vault-password-file", str(tmp_path / "password")).returncode == 0


@pytest.fixture
def small_disk(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A state folder on a file system of one megabyte, with the nodes' host keys in it."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(folder)], check=True)
    keys = Path("lab") / cluster.name / "known_hosts"
    (folder / "kubestead" / keys).parent.mkdir(parents=True)
    shutil.copy(state_dir() / keys, folder / "kubestead" / keys)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_for_records(
    kubestead: Callable[..., Outcome], inventory: Callable[..., Path], small_disk: Path
) -> None:
    run = kubestead(inventory(), *LOOK, XDG_STATE_HOME=str(small_disk))
    assert run.returncode == 0, run.stdout
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("No record can be kept in")]
    instead = Path(line.rpartition("That of this run goes to ")[2].rstrip("."))
    assert json.loads((instead / "run.json").read_text())["outcome"] == "succeeded"
    shutil.rmtree(instead.parent)


def test_a_terminal_that_goes_away(environment: dict[str, str], inventory: Callable[..., Path], tmp_path: Path) -> None:
    folder = inventory()
    pid, terminal = pty.fork()
    if pid == 0:
        del environment["CI"]
        os.chdir(ROOT)
        os.execve(KUBESTEAD, [KUBESTEAD, *LOOK, "-i", str(folder)], environment)
    seen = b""
    while b"Look at every machine" not in seen:  # in the view of what each host does: the run goes on
        seen += os.read(terminal, 1024)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    listed = subprocess.run([KUBESTEAD, "runs", "list", "--json"], capture_output=True, text=True, check=True)
    (run,) = [run for run in json.loads(listed.stdout) if run["inventory"] == str(folder)]
    assert run["outcome"] == "succeeded"
