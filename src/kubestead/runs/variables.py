"""Single variables of an inventory, for what has to be known before a run: the cluster's name, where its kubeconfig is."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kubestead.runs.playbooks import PlaybookError, collection_root, executables, settings_file
from kubestead.runs.report import vault_advice

_PATTERN = re.compile(r"^[!&@~]|[*?\[]")  # what only Ansible can tell the meaning of
_ALWAYS = {"all", "ungrouped", "localhost"}  # Ansible knows them in every inventory
_SHOWN = 20
_TAKES_A_VALUE = ("-e", "--extra-vars", "--vault-id", "--vault-password-file", "--vault-pass-file")


class VariablesError(RuntimeError):
    """The inventory cannot be read; the message holds Ansible's words."""


def read(inventory: Path, passthrough: Sequence[str] = ()) -> dict[str, Any]:
    """The variables of the first control plane over the defaults, as they are written: a template stays one.

    Of the options for ansible-playbook, those count that give variables and passwords of vaults.
    """
    listed = _list(inventory, passthrough)
    hosts = list(_hosts(listed, "control_plane"))
    if not hosts:
        raise VariablesError(
            f"the inventory {inventory} has no host in its group control_plane. `kubestead validate` says what it lacks."
        )
    return {**defaults(), **listed["_meta"]["hostvars"].get(hosts[0], {})}


def check_limit(inventory: Path, limit: str | None, passthrough: Sequence[str] = ()) -> None:
    """Refuse a ``--limit`` with a plain name that the inventory does not have: of several, Ansible would leave that one out in silence."""
    names = [name for name in _names(limit or "") if not _PATTERN.search(name)]
    if not names:
        return
    try:
        listed = _list(inventory, passthrough)
    except VariablesError:
        return  # the run itself explains it
    hosts = set(listed["_meta"]["hostvars"])
    groups: set[str] = set()
    for group, entry in listed.items():
        if group != "_meta":
            groups |= {group, *entry.get("children", [])}
            hosts |= set(entry.get("hosts", []))
    # A file that is no YAML gives none, which the run explains. A limit may be one address with colons in it.
    if not hosts or limit in hosts:
        return
    for name in names:
        if name not in {*hosts, *groups, *_ALWAYS}:
            near = difflib.get_close_matches(name, sorted(hosts | groups - _ALWAYS), 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            more = f" and {len(hosts) - _SHOWN} more hosts" if len(hosts) > _SHOWN else ""
            raise PlaybookError(
                f"--limit: {inventory} has no host or group {name!r}.{hint} It has {', '.join(sorted(hosts)[:_SHOWN])}{more}, "
                f"and the groups {', '.join(sorted(groups - _ALWAYS))}. Nothing was begun."
            )


def _names(limit: str) -> list[str]:
    """The parts of a limit, as Ansible takes it apart: by commas, or else by colons."""
    parts = limit.split(",") if "," in limit else re.split(r":(?![^\[]*\])", limit)
    return [part.strip() for part in parts if part.strip()]


def _list(inventory: Path, passthrough: Sequence[str]) -> dict[str, Any]:
    """All of an inventory, as Ansible lists it."""
    command = [str(executables() / "ansible-inventory"), "-i", str(inventory), "--list", *_that_matter(passthrough)]
    environment = {**os.environ, "ANSIBLE_CONFIG": os.environ.get("ANSIBLE_CONFIG") or str(settings_file())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        words = done.stderr.strip() or f"ansible-inventory ended with {done.returncode}"
        advice = vault_advice(words) or f"`kubestead validate -i {inventory}` says in which file and line."
        raise VariablesError(f"the inventory {inventory} cannot be read:\n{words}\n{advice}")
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def _hosts(listed: Mapping[str, Any], group: str) -> Iterator[str]:
    entry = listed.get(group, {})
    yield from entry.get("hosts", [])
    for child in entry.get("children", []):
        yield from _hosts(listed, child)


def defaults() -> dict[str, Any]:
    """What the variables of a cluster are where an inventory does not set them; a template stays one."""
    text = (collection_root() / "roles" / "cluster" / "defaults" / "main.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _that_matter(passthrough: Sequence[str]) -> Iterator[str]:
    words = iter(passthrough)
    for word in words:
        if word in _TAKES_A_VALUE:
            yield from (word, next(words, ""))
        elif word.startswith("-e") or word.partition("=")[0] in _TAKES_A_VALUE:
            yield word
