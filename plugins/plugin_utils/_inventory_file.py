# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Why Ansible could not read an inventory in YAML, which it tells among its warnings and then takes for an empty one."""

from __future__ import annotations

import os
import typing as t

import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import Origin

_EXTENSIONS = (".yml", ".yaml")
_PARTS = ("hosts", "children", "vars")


class Complaint(t.NamedTuple):
    """What is wrong, and where."""

    text: str
    origin: Origin


def complaints(sources: t.Iterable[str]) -> t.List[Complaint]:
    """Return what is wrong with the files of an inventory, by its sources (files, and folders of files)."""
    return [complaint for source in sources for path in _files(source) for complaint in _of_file(path)]


def broken_variables(sources: t.Iterable[str]) -> t.List[Complaint]:
    """Return what is wrong with the files of variables beside an inventory: those that are no YAML, or no mapping."""
    folders = {
        source if os.path.isdir(source) else os.path.dirname(source) for source in sources if os.path.exists(source)
    }
    below = [os.path.join(folder, kind) for folder in sorted(folders) for kind in ("group_vars", "host_vars")]
    return [complaint for folder in below for path in _variable_files(folder) for complaint in _of_variables(path)]


def _variable_files(folder: str) -> t.Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            # Others are not read by Ansible, or, as JSON, are YAML too.
            if (
                os.path.splitext(name)[1] in ("", ".json", *_EXTENSIONS)
                and not name.startswith(".")
                and not name.endswith("~")
            ):
                yield os.path.join(place, name)


def _of_variables(path: str) -> t.Iterator[Complaint]:
    document, wrong = _composed(path)
    empty = isinstance(document, yaml.ScalarNode) and document.value in ("", "~", "null")
    if wrong is not None:
        yield wrong
    elif document is not None and not empty and not isinstance(document, yaml.MappingNode):
        yield Complaint("names with values are wanted here, as in cluster_name: prod", _place(path, document))


def _files(source: str) -> t.List[str]:
    if not os.path.isdir(source):
        return [source] if source.endswith(_EXTENSIONS) and os.path.isfile(source) else []
    paths = [os.path.join(source, name) for name in sorted(os.listdir(source)) if name.endswith(_EXTENSIONS)]
    return [path for path in paths if os.path.isfile(path)]


def _of_file(path: str) -> t.Iterator[Complaint]:
    document, wrong = _composed(path)
    if wrong is not None:
        yield wrong
    # A file that names a plugin is that plugin's to judge.
    if isinstance(document, yaml.MappingNode) and all(name.value != "plugin" for name, _value in document.value):
        for name, group in document.value:
            yield from _of_group(path, str(name.value), group)


def _composed(path: str) -> t.Tuple[t.Optional[yaml.Node], t.Optional[Complaint]]:
    """The document of a file, or what is wrong with it; neither where it is empty, encrypted or not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None, None  # Ansible says it well
    if text.startswith("$ANSIBLE_VAULT"):
        return None, None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader), None
    except yaml.MarkedYAMLError as error:
        return None, _unparsed(path, text, error)


def _unparsed(path: str, text: str, error: yaml.MarkedYAMLError) -> Complaint:
    mark = error.problem_mark
    line = text.splitlines()[mark.line : mark.line + 1] if mark else []
    said = "a tab, where YAML wants spaces" if "\t" in "".join(line) else str(error.problem)
    return Complaint(f"this is no YAML: {said}", Origin(path, mark.line + 1 if mark else None))


def _of_group(path: str, name: str, group: yaml.Node) -> t.Iterator[Complaint]:
    if not isinstance(group, yaml.MappingNode):
        return
    for key, value in group.value:
        if key.value not in _PARTS:
            text = f"a group holds hosts, children and vars, and {name} holds {key.value}; set it below one of these"
            yield Complaint(text, _place(path, key))
        elif not isinstance(value, yaml.MappingNode) and getattr(value, "value", None) not in ("", "~", "null"):
            text = f"{key.value} of group {name} is no mapping; write each on a line of its own, with a colon behind it"
            yield Complaint(text, _place(path, value))
        elif key.value == "children" and isinstance(value, yaml.MappingNode):
            for child, inner in value.value:
                yield from _of_group(path, str(child.value), inner)


def _place(path: str, node: yaml.Node) -> Origin:
    return Origin(path, node.start_mark.line + 1)
