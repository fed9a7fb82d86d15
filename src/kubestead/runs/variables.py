"""Single variables of an inventory, for what has to be known before a run: the cluster's name, where its kubeconfig is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kubestead.runs.playbooks import collection_root, executables, settings_file
from kubestead.runs.report import vault_advice

_TAKES_A_VALUE = ("-e", "--extra-vars", "--vault-id", "--vault-password-file", "--vault-pass-file")


class VariablesError(RuntimeError):
    """The inventory cannot be read; the message holds Ansible's words."""


def read(inventory: Path, passthrough: Sequence[str] = ()) -> dict[str, Any]:
    """The variables of the first control plane over the defaults, as they are written: a template stays one.

    Of the options for ansible-playbook, those count that give variables and passwords of vaults.
    """
    command = [str(executables() / "ansible-inventory"), "-i", str(inventory), "--list", *_that_matter(passthrough)]
    environment = {**os.environ, "ANSIBLE_CONFIG": os.environ.get("ANSIBLE_CONFIG") or str(settings_file())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        words = done.stderr.strip() or f"ansible-inventory ended with {done.returncode}"
        advice = vault_advice(words) or f"`kubestead validate -i {inventory}` says in which file and line."
        raise VariablesError(f"the inventory {inventory} cannot be read:\n{words}\n{advice}")
    listed = json.loads(done.stdout)
    hosts = list(_hosts(listed, "control_plane"))
    if not hosts:
        raise VariablesError(
            f"the inventory {inventory} has no host in its group control_plane. `kubestead validate` says what it lacks."
        )
    return {**_defaults(), **listed["_meta"]["hostvars"].get(hosts[0], {})}


def _hosts(listed: Mapping[str, Any], group: str) -> Iterator[str]:
    entry = listed.get(group, {})
    yield from entry.get("hosts", [])
    for child in entry.get("children", []):
        yield from _hosts(listed, child)


def _defaults() -> dict[str, Any]:
    text = (collection_root() / "roles" / "cluster" / "defaults" / "main.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _that_matter(passthrough: Sequence[str]) -> Iterator[str]:
    words = iter(passthrough)
    for word in words:
        if word in _TAKES_A_VALUE:
            yield from (word, next(words, ""))
        elif word.startswith("-e") or word.partition("=")[0] in _TAKES_A_VALUE:
            yield word
