# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Reads the model that validation works on from the inventory which Ansible has loaded.

Each layer of variables is read as it was written, file and line with it. Nothing is merged or rendered for a host
unless a value is a template, since that is what makes a thousand hosts slow.
"""

from __future__ import annotations

import functools
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.inventory.group import Group as AnsibleGroup
from ansible.inventory.helpers import sort_groups
from ansible.inventory.host import Host as AnsibleHost
from ansible.parsing.vault import EncryptedString
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import (
    UNKNOWN,
    Group,
    Host,
    Inventory,
    Origin,
    Stray,
    Variable,
)
from ansible_collections.kubestead.cluster.plugins.plugin_utils._inventory_file import complaints

try:
    from ansible._internal._datatag._tags import Origin as OriginTag
except ImportError:  # a later ansible-core may keep it elsewhere; findings then name the inventory and no line
    OriginTag = None  # type: ignore[assignment,misc]

_ADDED_BY_ANSIBLE = ("inventory_file", "inventory_dir")
_EXTENSIONS = (".yml", ".yaml", ".json")

Entity = t.Union[AnsibleGroup, AnsibleHost]


def read(hostvars: t.Any, templar: t.Any, loader: t.Any, defaults: t.Mapping[str, t.Any]) -> Inventory:
    """Return the inventory behind Ansible's ``hostvars``; ``defaults`` are what templates find of unset variables."""
    return _Reader(hostvars, templar, loader, defaults).inventory()


def origin_of(*things: t.Any) -> Origin:
    """Return where the first of ``things`` that knows it was written."""
    for thing in things if OriginTag is not None else ():
        tag = OriginTag.get_tag(thing)
        if tag is not None:
            return Origin(tag.path, tag.line_num, tag.description)
    return Origin()


def has_secret(value: t.Any) -> bool:
    """Whether ``value`` is encrypted by vault, or holds something that is."""
    if isinstance(value, dict):
        return any(map(has_secret, value.values()))
    if isinstance(value, list):
        return any(map(has_secret, value))
    return isinstance(value, EncryptedString)


def decrypted(value: t.Any) -> t.Any:
    """Return ``value`` with its encrypted parts as plain text, UNKNOWN where a secret to do so is missing."""
    if isinstance(value, dict):
        return {key: decrypted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decrypted(item) for item in value]
    if not isinstance(value, EncryptedString):
        return value
    try:
        return str(value)
    except AnsibleError:
        return UNKNOWN


@functools.cache
def _is_vaulted_file(path: t.Optional[str]) -> bool:
    if path is None or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(14) == b"$ANSIBLE_VAULT"


def _latest(name: t.Any, value: t.Any) -> t.Sequence[t.Any]:
    """The two in the order in which to ask them: a name keeps the place of the first file that set it, a value has the last."""
    moved = origin_of(value).path not in (None, origin_of(name).path)
    return (value, name) if moved else (name, value)


class _Reader:
    def __init__(self, hostvars: t.Any, templar: t.Any, loader: t.Any, defaults: t.Mapping[str, t.Any]) -> None:
        self._hostvars = hostvars
        self._manager = hostvars._inventory
        self._extra = hostvars._variable_manager.extra_vars
        self._templar = templar
        self._loader = loader
        self._defaults = defaults
        self._sources = [source for source in self._manager._sources if source]
        self._source = Origin(self._sources[0] if self._sources else None)

    def inventory(self) -> Inventory:
        groups = {name: self._group(name, group) for name, group in self._manager.groups.items()}
        hosts = {name: self._host(name, host) for name, host in self._manager.hosts.items()}
        self._model = Inventory(
            groups=groups,
            hosts=hosts,
            extra=self._layer(self._extra, "extra", ""),
            strays=[*self._strays("group", groups), *self._strays("host", {**hosts, "localhost": None})],
            source=self._source,
            render=self._render,
            folder=self._loader.get_basedir(),
            unreadable=[] if hosts else complaints(self._sources),
        )
        return self._model

    def _group(self, name: str, group: AnsibleGroup) -> Group:
        where = "all" if name == "all" else "group"
        members = [str(host.name) for host in group.get_hosts()]
        return Group(str(name), members, self._layers(group, where), self._origin(group.name, name))

    def _host(self, name: str, host: AnsibleHost) -> Host:
        groups = [str(group.name) for group in sort_groups(host.get_groups())]
        groups = [group for group in groups if group not in ("all", "ungrouped")]
        return Host(str(name), groups, self._layers(host, "host"), self._origin(host.name, name, *host.vars))

    def _layers(self, entity: Entity, where: str) -> t.Sequence[t.Mapping[str, Variable]]:
        beside_inventory = get_vars_from_inventory_sources(self._loader, self._sources, [entity], "task")
        beside_playbook = get_vars_from_path(self._loader, self._loader.get_basedir(), [entity], "task")
        return [
            self._layer(layer, where, str(entity.name)) for layer in (entity.vars, beside_inventory, beside_playbook)
        ]

    def _layer(self, variables: t.Mapping[str, t.Any], where: str, owner: str) -> t.Dict[str, Variable]:
        layer: t.Dict[str, Variable] = {}
        for name, value in variables.items():
            if name in _ADDED_BY_ANSIBLE:
                continue
            origin = origin_of(name, value) if where == "extra" else self._origin(*_latest(name, value))
            inline = has_secret(value)
            secret = inline or _is_vaulted_file(origin.path)
            layer[str(name)] = Variable(str(name), decrypted(value) if inline else value, origin, where, owner, secret)
        return layer

    def _origin(self, *things: t.Any) -> Origin:
        # A generated inventory knows no lines, and a JSON file tells none: then its source is named at least.
        origin = origin_of(*things)
        return self._source if origin == Origin() else origin

    def _strays(self, kind: str, known: t.Mapping[str, t.Any]) -> t.Iterator[Stray]:
        folders = {source if os.path.isdir(source) else os.path.dirname(source) for source in self._sources}
        for folder in sorted(os.path.join(folder, kind + "_vars") for folder in folders):
            for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                name, extension = os.path.splitext(entry)
                name = name if extension in _EXTENSIONS else entry
                if name not in known and not entry.startswith(".") and not entry.endswith("~"):
                    yield Stray(kind, name, os.path.abspath(os.path.join(folder, entry)))

    def _render(self, value: t.Any, host: str) -> t.Any:
        templar = self._templar.copy_with_new_env(available_variables=self._variables(host))
        try:
            rendered = templar.template(value)
        except AnsibleError:
            return UNKNOWN
        plain = rendered is None or isinstance(rendered, (str, bool, int, float, list, dict))
        return rendered if plain else UNKNOWN

    def _variables(self, host: str) -> t.Dict[str, t.Any]:
        model = self._model
        variables: t.Dict[str, t.Any] = dict(self._defaults)
        holders: t.List[t.Sequence[t.Union[Group, Host]]] = [[model.groups["all"]]]
        if host in model.hosts:
            holders += [[model.groups[name] for name in model.hosts[host].groups], [model.hosts[host]]]
        for layered in holders:
            for level in range(3):
                for holder in layered:
                    variables.update((name, one.value) for name, one in holder.layers[level].items())
        variables.update((name, one.value) for name, one in model.extra.items())
        variables.update(
            inventory_hostname=host,
            inventory_hostname_short=host.split(".")[0],
            group_names=model.hosts[host].groups if host in model.hosts else [],
            groups={name: list(group.hosts) for name, group in model.groups.items()},
            hostvars=self._hostvars,
        )
        return variables
