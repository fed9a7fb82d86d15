from __future__ import annotations

import io
from pathlib import Path

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


def test_a_run_that_never_began_shows_ansibles_words(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text("ERROR! Syntax Error while loading YAML.\n", encoding="utf-8")
    target = console()
    report.print_broken(target, log)
    report.print_broken(target, log, begun=True)
    first, second = [line for line in printed(target).splitlines() if line.startswith("Ansible")]
    assert (first, second) == ("Ansible stopped before it came to a task:", "Ansible stopped:")
    assert printed(target).count("  | ERROR! Syntax Error while loading YAML.") == 2
