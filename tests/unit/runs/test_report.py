from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kubestead.runs import report
from kubestead.runs.progress import Failure, HostStats, PhaseTime


def printed(console: Console) -> str:
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def console() -> Console:
    return Console(file=io.StringIO(), width=60)


def failure(host: str, message: str = "The disk is full.", *, unreachable: bool = False) -> Failure:
    return Failure(host, "prepare", "containerd : Install containerd", message, "/x/main.yml:7", unreachable)


def test_hosts_that_failed_alike_are_named_together() -> None:
    target = console()
    report.print_failures(target, [failure("worker-1"), failure("worker-2"), failure("worker-3", "No route.")])
    text = printed(target)
    assert "Failed on worker-1, worker-2\n" in text
    assert "Failed on worker-3\n" in text
    assert text.count("The disk is full.") == 1


def test_a_failure_names_phase_task_place_and_message() -> None:
    target = console()
    report.print_failures(target, [failure("worker-1", "First line.\nSecond line.")])
    text = printed(target)
    for expected in ("prepare", "Install containerd", "/x/main.yml:7", "  | First line.\n  | Second line."):
        assert expected in text


def test_an_unreachable_host_gets_advice() -> None:
    target = console()
    report.print_failures(target, [failure("worker-1", unreachable=True)])
    assert "ansible_host" in printed(target)


def test_many_failures_are_counted_not_listed() -> None:
    target = console()
    report.print_failures(target, [failure(f"w{n}", f"message {n}") for n in range(8)])
    text = printed(target)
    assert text.count("Failed on") == report.MAX_FAILURES
    assert "and 3 more failures" in text


def test_the_outcome_names_what_changed_or_that_nothing_did() -> None:
    target = console()
    report.print_outcome(target, [PhaseTime("prepare", 3.0, 0), PhaseTime("verify", 1.5, 0)], {"a": HostStats(ok=3)})
    report.print_outcome(target, [], {"a": HostStats(changed=2)})
    assert printed(target) == "Done in 4.5 s. Changed: nothing.\nDone in 0.0 s. Changed: a 2.\n"


def test_the_outcome_names_the_hosts_that_the_run_did_without() -> None:
    target = console()
    report.print_outcome(target, [], {"cp-1": HostStats(ok=3), "cp-2": HostStats(ok=1, unreachable=1)})
    assert printed(target) == "Done in 0.0 s. Changed: nothing. Not reached: cp-2.\n"


def test_a_run_that_never_began_shows_ansibles_words(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text("ERROR! Syntax Error while loading YAML.\n", encoding="utf-8")
    target = console()
    report.print_broken(target, log)
    report.print_broken(target, log, begun=True)
    first, second = [line for line in printed(target).splitlines() if line.startswith("Ansible")]
    assert (first, second) == ("Ansible stopped before it came to a task:", "Ansible stopped:")
    assert printed(target).count("  | ERROR! Syntax Error while loading YAML.") == 2


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Task failed: Missing sudo password", "worker-1 wants a password before the user may become root."),
        ("Task failed: Incorrect sudo password", "-- --become-password-file FILE"),
        ("Timeout (12s) waiting for privilege escalation prompt:", "wants a password"),
        ("Module result deserialization failed: No start of json char found", "becomes root (sudo)?"),
        ("root@192.0.2.1: Permission denied (publickey).", "worker-1 answers, and does not let this user in."),
        ("Host key verification failed.", "ssh-keygen -R ADDRESS"),
        ("ssh: Could not resolve hostname worker-1: Name or service not known", "Set ansible_host in the inventory."),
        (
            "The module interpreter '/usr/bin/python3' was not found.",
            "worker-1 has no Python where Ansible looks for it.",
        ),
        ("[Errno 28] No space left on device: '/root/.ansible'", "A disk is full: worker-1's own"),
    ],
)
def test_what_ansible_says_comes_with_what_to_do(said: str, advice: str) -> None:
    target = console()
    report.print_failures(target, [failure("worker-1", said, unreachable="publickey" in said)])
    assert advice in printed(target)
    assert "did not answer" not in printed(target)


def test_preflight_says_itself_what_to_do() -> None:
    target = console()
    told = replace(failure("worker-1", "1 finding: Missing sudo password"), phase="preflight")
    report.print_failures(target, [told])
    assert printed(target).endswith("  | 1 finding: Missing sudo password\n")


@pytest.mark.parametrize(
    "said", ["Attempting to decrypt but no vault secrets found.", "Decryption failed (no vault secrets)"]
)
def test_a_vault_without_its_password_gets_advice(tmp_path: Path, said: str) -> None:
    target, log = console(), tmp_path / "output.log"
    log.write_text(f"[ERROR]: {said}\n", encoding="utf-8")
    report.print_broken(target, log)
    assert "add: -- --vault-password-file FILE; or name the file in" in printed(target)
