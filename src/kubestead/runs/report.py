"""What is said at the end of a run: the outcome, and for a failure where, why, what to do and how to go on."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kubestead.runs.progress import Failure, HostStats, PhaseTime
from kubestead.runs.render import harmless, seconds

MAX_FAILURES = 5


def print_outcome(console: Console, phases: Sequence[PhaseTime], hosts: dict[str, HostStats]) -> None:
    """Say that the run succeeded, how long it took, what it changed, and whom it did without."""
    changed = {name: host.changed for name, host in hosts.items() if host.changed}
    what = ", ".join(f"{name} {count}" for name, count in changed.items()) if changed else "nothing"
    unreached = [name for name, host in hosts.items() if host.unreachable]
    without = f" Not reached: {', '.join(unreached)}." if unreached else ""
    _print(console, f"Done in {seconds(sum(phase.seconds for phase in phases))}. Changed: {what}.{without}")


def print_failures(console: Console, failures: Sequence[Failure]) -> None:
    """Explain each failure; hosts that failed alike are named together."""
    alike: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        alike.setdefault((failure.task, failure.message, failure.path), []).append(failure)
    for group in list(alike.values())[:MAX_FAILURES]:
        first = group[0]
        _print(console, "")
        _print(console, f"Failed on {', '.join(failure.host for failure in group)}", style="bold red")
        _print(console, f"  phase    {first.phase}")
        _print(console, f"  task     {first.task}")
        _print(console, f"  at       {first.path}")
        _print(console, textwrap.indent(first.message, "  | "))
        if advice := _advice(first):
            _print(console, f"  {advice}")
    if len(alike) > MAX_FAILURES:
        _print(console, f"and {len(alike) - MAX_FAILURES} more failures, in the record of this run.")


def print_broken(console: Console, output: Path, *, begun: bool = False) -> None:
    """Show the last words of Ansible where it ended without a task that failed; ``begun`` where it had come to tasks."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else []
    when = "" if begun else " before it came to a task"
    _print(console, f"Ansible stopped{when}:", style="bold red")
    last = "\n".join(lines[-30:])
    _print(console, textwrap.indent(last, "  | "))
    if advice := vault_advice(last):
        _print(console, f"  {advice}")


def vault_advice(said: str) -> str:
    """What to do where the inventory holds secrets that cannot be read, by what Ansible said."""
    if not re.search(r"no vault secrets|Decryption failed", said):
        return ""
    return (
        "The inventory is encrypted by ansible-vault in part, and its password is missing or wrong. Put the password into a file and "
        "add: -- --vault-password-file FILE; or name the file in the environment's ANSIBLE_VAULT_PASSWORD_FILE."
    )


def print_next(console: Console, *, command: str, record: Path, resume: str | None, anew: bool = False) -> None:
    """Say how to go on after a run that failed or was stopped; ``anew`` where that is to begin from the start."""
    then = "it begins from the start" if anew else "what is done stays done, the rest follows"
    _print(console, "")
    _print(console, f"Once the cause is mended, run the same command again: {then}.")
    _print(console, f"The same with Ansible:   {command}")
    if resume:
        _print(console, f"From that phase on:      {resume}")
    _print(console, f"Record of this run:      {record}")


# What Ansible's own words of a failure mean for whoever reads them; the first that fits. Preflight's findings say it themselves.
_ADVICE = (
    (
        r"(Missing|Incorrect) \S+ password|privilege escalation prompt",
        "{host} wants a password before the user may become root. Let it be without one "
        "(`USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d), or put it into a file and add: -- --become-password-file FILE",
    ),
    (
        r"\b(sudo|su|doas): (command )?not found|No start of json char found",
        "{host} gave no answer that could be read. Is the program there by which the user becomes root (sudo)? Log in as root instead, "
        "without ansible_become, or name another one in ansible_become_method.",
    ),
    (
        r"Permission denied|Too many authentication failures|Invalid/incorrect (user|pass)",
        "{host} answers, and does not let this user in. Are ansible_user and ansible_ssh_private_key_file right, and does the machine know "
        "the key (`ssh-copy-id`)?",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{host} has another SSH host key than the one known here, or none is known. See that it is the right machine; "
        "log in once by hand to add the key, or remove the old one by `ssh-keygen -R ADDRESS`.",
    ),
    (
        r"Could not resolve hostname|Name or service not known",
        "Nobody knows an address for {host}. Set ansible_host in the inventory.",
    ),
    (
        r"module interpreter .* was not found|python3?: (command )?not found",
        "{host} has no Python where Ansible looks for it. Install python3 there (3.9 or newer), "
        "or name its place in ansible_python_interpreter.",
    ),
    (
        r"No space left on device",
        "A disk is full: {host}'s own, or the one of this machine if the path named above is here.",
    ),
)
_UNREACHABLE = (
    "{host} did not answer over SSH. Is it running, is its address (ansible_host) right, and may this user log in "
    "(ansible_user, ansible_ssh_private_key_file)?"
)


def _advice(failure: Failure) -> str:
    """What to do about a failure, where Ansible's words tell the cause but not that."""
    said = failure.message
    if failure.phase == "preflight" and not failure.unreachable:
        return ""
    found = next((text for pattern, text in _ADVICE if re.search(pattern, said)), _UNREACHABLE * failure.unreachable)
    return found.format(host=failure.host)


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(harmless(text), style=style or None, markup=False, highlight=False, soft_wrap=True)
