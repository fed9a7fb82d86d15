"""What an engine and nodes change on the machine below them, remembered beforehand and put back afterwards.

dockerd leaves firewall rules, a bridge and a few files behind when it ends; kubelets set kernel settings that all
containers share with the machine. The record is written before the first change, so it also serves after a crash.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubestead import paths
from kubestead.lab.commands import CommandError, run
from kubestead.lab.files import write_atomically

# Kernel settings without a namespace that a kubelet, or we, set.
SHARED_SETTINGS = (
    "fs.inotify.max_user_instances",
    "kernel.panic",
    "kernel.panic_on_oops",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding")
# Places that dockerd and its containerd use whatever they are told.
ENGINE_FILES = (
    "/etc/docker",
    "/opt/containerd",
    "/run/containerd",
    "/run/docker",
    "/run/docker.sock",
)
ENGINE_LINK = "docker0"
FAMILIES = ("iptables", "ip6tables")


def record_file() -> Path:
    """Where the record is kept while there is something to put back."""
    return paths.state_dir() / "lab" / "host.json"


def remember_network() -> None:
    """Note rules, forwarding and files as they are before an engine of ours starts."""
    record = _load()
    if "network" in record:
        return
    record["network"] = {
        "rules": {family: _rules(family) for family in FAMILIES},
        "settings": read_settings(FORWARDING),
        "files": [path for path in ENGINE_FILES if Path(path).exists()],
        "link": ENGINE_LINK in links(),
    }
    _save(record)


def restore_network() -> None:
    """Take away what an engine of ours left; does nothing without a record."""
    record = _load()
    network = record.pop("network", None)
    if network is None:
        return
    for family in FAMILIES:
        undo = rules_to_undo(network["rules"][family], _rules(family))
        if undo:
            run([f"{family}-restore", "--noflush"], stdin=undo)
    if not network["link"] and ENGINE_LINK in links():
        run(["ip", "link", "delete", ENGINE_LINK])
    write_settings(network["settings"])
    for path in ENGINE_FILES:
        if path not in network["files"]:
            remove(Path(path))
    _save(record)


def remember_settings() -> None:
    """Note the kernel settings that the nodes will share with this machine."""
    record = _load()
    if "settings" not in record:
        record["settings"] = read_settings(SHARED_SETTINGS)
        _save(record)


def settings_to_restore() -> dict[str, str]:
    """Those of the noted settings that differ by now, with the value they had."""
    before: dict[str, str] = _load().get("settings", {})
    now = read_settings(before)
    return {name: value for name, value in before.items() if now.get(name) != value}


def forget_settings() -> None:
    """The last lab is gone and the settings are back."""
    record = _load()
    record.pop("settings", None)
    _save(record)


def links() -> list[str]:
    """Names of the network interfaces."""
    return [link["ifname"] for link in json.loads(run(["ip", "-json", "link"]) or "[]")]


def read_settings(names: Any) -> dict[str, str]:
    """Kernel settings by name; those that this kernel lacks are left out."""
    values = {}
    for name in names:
        path = setting_path(name)
        if path.exists():
            values[name] = path.read_text().strip()
    return values


def write_settings(values: Mapping[str, str]) -> None:
    """Set kernel settings, as root."""
    for name, value in values.items():
        if setting_path(name).read_text().strip() != value:
            setting_path(name).write_text(value)


def setting_path(name: str) -> Path:
    """The file of a kernel setting."""
    return Path("/proc/sys", *name.split("."))


def rules_to_undo(before: str, after: str) -> str:
    """Input for ``iptables-restore --noflush`` that takes Docker's rules away again.

    Only rules and chains that are new and name a chain or a bridge of Docker's go: what others added meanwhile stays.

    :param before: what ``iptables-save`` said before the engine started; empty means an empty firewall.
    :param after: what it says now.
    :return: empty where there is nothing to do.
    """
    old, new = _tables(before), _tables(after)
    lines: list[str] = []
    for table, (chains, rules) in new.items():
        old_chains, old_rules = old.get(table, ({}, []))
        mine = [chain for chain in chains if chain.startswith("DOCKER") and chain not in old_chains]
        change = [
            f":{chain} {old_chains.get(chain, 'ACCEPT')} [0:0]"
            for chain, policy in chains.items()
            if policy not in ("-", old_chains.get(chain, "ACCEPT")) and mine
        ]
        change += [f"-F {chain}" for chain in mine]
        change += [
            "-D" + rule.removeprefix("-A")
            for rule in rules
            if rule not in old_rules and rule.split()[1] not in mine and _is_dockers(rule)
        ]
        change += [f"-X {chain}" for chain in mine]
        if change:
            lines += [f"*{table}", *change, "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _is_dockers(rule: str) -> bool:
    return bool(re.search(r"-j DOCKER\b|\b(docker0|br-[0-9a-f]{12})\b", rule))


def _tables(saved: str) -> dict[str, tuple[dict[str, str], list[str]]]:
    """``iptables-save``: table to (chain to policy, rules)."""
    tables: dict[str, tuple[dict[str, str], list[str]]] = {}
    chains: dict[str, str] = {}
    rules: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            chains, rules = {}, []
            tables[line[1:]] = (chains, rules)
        elif line.startswith(":"):
            name, policy, _ = line[1:].split(" ", 2)
            chains[name] = policy
        elif line.startswith("-A"):
            rules.append(line)
    return tables


def _rules(family: str) -> str:
    if shutil.which(f"{family}-save") is None:
        return ""
    try:
        return run([f"{family}-save"])
    except CommandError:
        return ""  # a kernel without that family


def unmount_below(folder: Path) -> None:
    """Unmount whatever is still mounted in a folder, the innermost first."""
    mounted = re.findall(r"^\S+ \S+ \S+ \S+ (\S+) ", Path("/proc/self/mountinfo").read_text(), re.MULTILINE)
    for point in sorted((point for point in mounted if Path(point).is_relative_to(folder)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def remove(path: Path) -> None:
    """Delete a file or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _load() -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(record_file().read_text())
    except FileNotFoundError:
        return {}
    return record


def _save(record: dict[str, Any]) -> None:
    if record:
        write_atomically(record_file(), json.dumps(record, indent=1))
    else:
        record_file().unlink(missing_ok=True)
