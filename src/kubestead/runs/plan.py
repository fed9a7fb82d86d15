"""What a run in check mode would change, in words: from the results of its tasks to one list of phrases for each host.

Only the wording is made here. What would change is what the tasks say of themselves in check mode, so a task that tells
nothing there (a command, one whose result is hidden) is not part of a plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubestead.runs.progress import Event

Result = Mapping[str, Any]

# Packages from a repository that is only about to be named cannot be looked up, so these tasks are left out in check mode, and
# run only where the packages are not as wanted.
_NOT_FORESEEN = {
    "containerd": "installs containerd",
    "docker": "installs Docker and cri-dockerd",
    "kube_packages": "installs kubeadm, kubelet and kubectl",
    "haproxy": "installs haproxy",
    "keepalived": "installs keepalived",
}
_PACKAGE_ACTIONS = ("ansible.builtin.apt", "ansible.builtin.dnf")
_SIMULATED = re.compile(r"^Inst (?P<name>\S+) (?:\[(?P<old>[^\]]+)\] )?\((?P<new>\S+)", re.MULTILINE)
_STATES = {"started": "starts", "restarted": "restarts", "reloaded": "reloads", "stopped": "stops"}


class Plan:
    """What would change on each host, brought forward by one event after another."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {}

    def feed(self, event: Event) -> None:
        """Take in one event."""
        data = event.get("event_data") or {}
        host = str(data.get("host") or "")
        if not host:
            return
        phrases: Iterable[str] = ()
        if event.get("event") == "runner_on_ok":
            phrases = _phrases(data)
        elif event.get("event") == "runner_on_skipped":
            phrases = _skipped(data)
        known = self.hosts.setdefault(host, [])
        known += [phrase for phrase in dict.fromkeys(phrases) if phrase not in known]

    @property
    def changes(self) -> bool:
        """Whether a run would change anything at all."""
        return any(self.hosts.values())


def _action(data: Mapping[str, Any]) -> str:
    return str(data.get("resolved_action") or data.get("task_action") or "")


def _phrases(data: Mapping[str, Any]) -> list[str]:
    result = data.get("res")
    if not isinstance(result, Mapping):
        return []
    of_items = [
        item for item in result.get("results") or [] if isinstance(item, Mapping) and "ansible_loop_var" in item
    ]
    word = _WORDS.get(_action(data), _named)
    return [
        phrase
        for one in of_items or [result]
        if one.get("changed")
        for phrase in word(one, str(data.get("task") or ""))
    ]


def _skipped(data: Mapping[str, Any]) -> list[str]:
    phrase = _NOT_FORESEEN.get(str(data.get("role") or "").rpartition(".")[2])
    return [phrase] if phrase and _action(data) in _PACKAGE_ACTIONS else []


def _arguments(result: Result) -> Mapping[str, Any]:
    arguments: Mapping[str, Any] = (result.get("invocation") or {}).get("module_args") or {}
    return arguments


def _named(_result: Result, task: str) -> list[str]:
    """The task's own name, for whatever has no better words."""
    return [f"{task[:1].lower()}{task[1:]}"]


def _nothing(_result: Result, _task: str) -> list[str]:
    """No words for what is made for a run and taken back within it."""
    return []


def _init(_result: Result, _task: str) -> list[str]:
    return ["becomes the first control plane"]


def _join(result: Result, _task: str) -> list[str]:
    return ["joins as control plane" if _arguments(result).get("control_plane") else "joins as worker"]


def _files(result: Result, _task: str) -> list[str]:
    written = result.get("written") or []
    restarted = {file.get("restart") for file in _arguments(result).get("files") or [] if file.get("path") in written}
    services = [
        f"{'restarts' if name in restarted else 'reloads'} {name}"
        for name in dict.fromkeys(result.get("services") or [])
    ]
    return [", ".join([f"writes {', '.join(written)}", *services])]


def _written(result: Result, task: str) -> list[str]:
    path = result.get("dest") or _arguments(result).get("path") or _arguments(result).get("dest")
    return [f"writes {path}"] if path else _named(result, task)


def _file(result: Result, task: str) -> list[str]:
    arguments = _arguments(result)
    verbs = {"absent": "removes", "directory": "makes the folder", "link": "links"}
    verb = verbs.get(str(arguments.get("state")), "sets owner and mode of")
    return [f"{verb} {arguments['path']}"] if arguments.get("path") else _named(result, task)


def _host_name(result: Result, task: str) -> list[str]:
    return [f"takes the host name {result['name']}"] if result.get("name") else _named(result, task)


def _service(result: Result, task: str) -> list[str]:
    arguments = _arguments(result)
    name = arguments.get("name") or result.get("name")
    verb = _STATES.get(str(arguments.get("state")), "enables" if arguments.get("enabled") else "disables")
    return [f"{verb} {name}"] if name else _named(result, task)


def _images(result: Result, task: str) -> list[str]:
    names = [str(image).rpartition("/")[2] for image in result.get("pulled") or []]
    return [f"pulls {', '.join(names)}"] if names else _named(result, task)


def _registries(result: Result, task: str) -> list[str]:
    names = result.get("registries") or []
    return [f"names the mirrors of {', '.join(names)}"] if names else _named(result, task)


def _objects(result: Result, task: str) -> list[str]:
    phrases = []
    for action, verb in (("created", "creates"), ("changed", "changes"), ("deleted", "deletes")):
        names = [f"{one['kind']} {one['name']}" for one in result.get("objects") or [] if one.get("action") == action]
        if names:
            phrases.append(f"{verb} {', '.join(names)} in the cluster")
    return phrases or _named(result, task)


def _apt(result: Result, task: str) -> list[str]:
    asked = {str(name).partition("=")[0] for name in _arguments(result).get("package") or []}
    found = list(_SIMULATED.finditer(str(result.get("stdout") or "")))
    phrases = [_package(match["name"], match["old"], match["new"]) for match in found if match["name"] in asked]
    others = len(found) - len(phrases)
    if phrases and others:
        phrases.append(f"installs {others} {'package' if others == 1 else 'packages'} that they need")
    return phrases or _named(result, task)


def _package(name: str, old: str | None, new: str) -> str:
    if old is None:
        return f"installs {name} {_release(new)}"
    before, after = _release(old), _release(new)
    return f"{name} {old} → {new}" if before == after else f"{name} {before} → {after}"


def _release(version: str) -> str:
    """A package's version without what the distribution puts around it."""
    return re.sub(r"^\d+:|-[^-]*$", "", version)


def _dnf(result: Result, task: str) -> list[str]:
    names = [
        str(line).partition(": ")[2] for line in result.get("results") or [] if str(line).startswith("Installed: ")
    ]
    return [f"installs {name}" for name in names] or _named(result, task)


_WORDS: dict[str, Callable[[Result, str], list[str]]] = {
    "ansible.builtin.apt": _apt,
    "ansible.builtin.blockinfile": _written,
    "ansible.builtin.copy": _written,
    "ansible.builtin.dnf": _dnf,
    "ansible.builtin.file": _file,
    "ansible.builtin.get_url": _written,
    "ansible.builtin.hostname": _host_name,
    "ansible.builtin.lineinfile": _written,
    "ansible.builtin.replace": _written,
    "ansible.builtin.systemd_service": _service,
    "ansible.builtin.template": _written,
    "kubestead.cluster.container_images": _images,
    "kubestead.cluster.files": _files,
    "kubestead.cluster.kubeadm_certificates": _nothing,
    "kubestead.cluster.kubeadm_init": _init,
    "kubestead.cluster.kubeadm_join": _join,
    "kubestead.cluster.kubeadm_token": _nothing,
    "kubestead.cluster.kubectl_apply": _objects,
    "kubestead.cluster.registry_mirrors": _registries,
}
