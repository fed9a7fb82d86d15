"""The public variables, read from their one source, and every file that is generated from it.

The source is ``roles/<role>/meta/argument_specs.yml``. From the specification of the role ``cluster`` follow its defaults,
``docs/variables.md`` and ``docs/cluster.schema.json``; from that of each role follows the list of variables in its README.
``python -m kubestead.specification`` writes them, and with ``--check`` only says which of them are out of date.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

Type = Literal["str", "int", "float", "bool", "list", "dict", "path", "raw"]

COMMAND = "python -m kubestead.specification"
BEGIN = "<!-- variables -->"
END = "<!-- /variables -->"
SCHEMA_ADDRESS = "https://json-schema.org/draft/2020-12/schema"

_JSON_TYPES: dict[str, str] = {
    "str": "string",
    "path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_MARKUP = re.compile(r"\b([CVOBIME]|RV)\(((?:\\.|[^\\)])*)\)")
_LINK = re.compile(r"\bL\(([^,)]*), *([^)]*)\)|\bU\(([^)]*)\)")


class Option(BaseModel):
    """One variable, as an ``argument_specs.yml`` describes it."""

    model_config = ConfigDict(extra="forbid")

    description: list[str]
    type: Type = "str"
    elements: Type | None = None
    choices: list[Any] | None = None
    default: Any = None
    required: bool = False
    no_log: bool = False
    version_added: str | None = None
    options: dict[str, Option] | None = None

    @field_validator("description", mode="before")
    @classmethod
    def _as_paragraphs(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class EntryPoint(BaseModel):
    """One way into a role (``main`` or another tasks file) with the variables that it takes."""

    model_config = ConfigDict(extra="forbid")

    short_description: str = ""
    description: list[str] = Field(default_factory=list)
    author: list[str] = Field(default_factory=list)
    version_added: str | None = None
    options: dict[str, Option] = Field(default_factory=dict)

    @field_validator("description", "author", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


def load_role(role: Path) -> dict[str, EntryPoint]:
    """Read the argument specification of the role in the folder ``role``; a role without one has no entry points."""
    source = role / "meta" / "argument_specs.yml"
    if not source.exists():
        return {}
    document = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
    return {name: EntryPoint.model_validate(entry) for name, entry in document["argument_specs"].items()}


def load_cluster(root: Path) -> dict[str, Option]:
    """Read every public variable of a cluster from the collection in the folder ``root``."""
    return load_role(root / "roles" / "cluster")["main"].options


def plain(text: str) -> str:
    """Return ``text`` without Ansible's semantic markup, values in back quotes."""

    def strip(match: re.Match[str]) -> str:
        return f"`{match[2]}`" if match[1] == "V" else match[2]

    return _MARKUP.sub(strip, _LINK.sub(lambda match: match[3] or f"{match[1]} ({match[2]})", text))


def markdown(text: str) -> str:
    """Return ``text`` with Ansible's semantic markup turned into Markdown's."""

    def emphasise(match: re.Match[str]) -> str:
        return {"B": f"**{match[2]}**", "I": f"*{match[2]}*"}.get(match[1], f"`{match[2]}`")

    return _MARKUP.sub(
        emphasise, _LINK.sub(lambda match: f"<{match[3]}>" if match[3] else f"[{match[1]}]({match[2]})", text)
    )


def yaml_value(value: Any) -> str:
    """Return ``value`` as YAML on one line, quoted only where a bare word would be read as something else."""
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_value, value))}]"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    bare = re.fullmatch(r"[A-Za-z0-9_./][-A-Za-z0-9_./]*", value) is not None
    return value if bare and yaml.safe_load(value) == value else json.dumps(value, ensure_ascii=False)


def type_name(option: Option) -> str:
    """Return the type of ``option`` in a reader's words, as ``list of str``."""
    return f"{option.type} of {option.elements}" if option.elements else option.type


def render_defaults(options: Mapping[str, Option]) -> str:
    """Return ``defaults/main.yml`` of the role ``cluster``: each variable with its default, its description as the comment."""
    parts = ["---", f"# Generated from meta/argument_specs.yml by `{COMMAND}`: change the variables there."]
    for name, option in options.items():
        text = plain(" ".join(option.description))
        if option.choices:
            text += f" One of: {', '.join(map(str, option.choices))}."
        parts += ["", *textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="# ")]
        parts.append(f"{name}: {yaml_value(option.default)}")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _default_cell(option: Option) -> str:
    if option.required:
        return "required"
    return "" if option.default is None else f"`{yaml_value(option.default)}`"


def _rows(options: Mapping[str, Option], prefix: str = "") -> Iterable[str]:
    for name, option in options.items():
        text = markdown(" ".join(option.description))
        if option.choices:
            text += f" One of {', '.join(f'`{choice}`' for choice in option.choices)}."
        yield f"| `{prefix}{name}` | {type_name(option)} | {_cell(_default_cell(option))} | {_cell(text)} |"
        if option.options:
            yield from _rows(option.options, f"{prefix}{name}.")


def render_table(options: Mapping[str, Option]) -> str:
    """Return ``options`` as a Markdown table; the keys of a dictionary follow it as ``name.key``."""
    return "\n".join(["| Variable | Type | Default | What it is |", "|---|---|---|---|", *_rows(options)])


def render_variables(options: Mapping[str, Option]) -> str:
    """Return ``docs/variables.md``, a section for each public variable."""
    parts = [
        "# Variables",
        "",
        f"<!-- Generated from roles/cluster/meta/argument_specs.yml by `{COMMAND}`: change the variables there. -->",
        "",
        "Every public variable of a cluster. They stand in `group_vars/all/cluster.yml` of the inventory; those that describe a",
        "single machine may stand at a host or a group. `kubestead validate` finds a misspelt name or a wrong value,",
        "and an editor completes them with [the JSON schema](cluster.schema.json).",
        "",
        "Variables of single operations (`etcd_backup_*`, `upgrade_*`, `remove_*`, `reset_*`, `control_plane_renew_*`) are on the pages of",
        "these, and in the READMEs of the roles. `kubestead validate` warns of a name that is nearly one of them.",
    ]
    for name, option in options.items():
        parts += ["", f"## {name}", "", *map(markdown, option.description), ""]
        parts += [f"- Type: {type_name(option)}", f"- Default: {_default_cell(option) or 'none'}"]
        if option.choices:
            parts.append(f"- Choices: {', '.join(f'`{choice}`' for choice in option.choices)}")
    return "\n".join(parts) + "\n"


def _schema_of(option: Option) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": plain(" ".join(option.description))}
    if option.type in _JSON_TYPES:
        schema["type"] = _JSON_TYPES[option.type]
    if option.choices:
        schema["enum"] = option.choices
    if option.default is not None:
        schema["default"] = option.default
    if option.elements in _JSON_TYPES:
        schema["items"] = {"type": _JSON_TYPES[option.elements]}
    if option.options:
        target = schema.setdefault("items", {"type": "object"}) if option.type == "list" else schema
        target["properties"] = {name: _schema_of(inner) for name, inner in option.options.items()}
        target["additionalProperties"] = False
    return schema


def schema(options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the JSON schema of ``cluster.yml``. A Jinja expression is accepted wherever a value is not text anyway."""
    template = {"type": "string", "pattern": r"\{\{.*\}\}"}
    properties: dict[str, Any] = {}
    for name, option in options.items():
        described = _schema_of(option)
        if described.get("type") == "string" and "enum" not in described:
            properties[name] = described
            continue
        shared = {key: described.pop(key) for key in ("description", "default") if key in described}
        properties[name] = {**shared, "anyOf": [described, template]}
    return {
        "$schema": SCHEMA_ADDRESS,
        "title": "Variables of a Kubestead cluster",
        "description": "group_vars/all/cluster.yml of an inventory",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^(?!cluster_)": {}},
        "additionalProperties": False,
    }


def render_schema(options: Mapping[str, Option]) -> str:
    """Return ``docs/cluster.schema.json``."""
    return json.dumps(schema(options), indent=2, ensure_ascii=False) + "\n"


def render_readme(readme: str, entry_points: Mapping[str, EntryPoint]) -> str:
    """Return ``readme`` with the tables of ``entry_points`` between the markers, which are added where they lack."""
    parts = [BEGIN, ""]
    for name, entry in entry_points.items():
        if name != "main":
            parts += [f"### `tasks_from: {name}`", "", markdown(entry.short_description), ""]
        parts += [render_table(entry.options) if entry.options else "None of its own.", ""]
    section = "\n".join([*parts, END])
    if BEGIN not in readme or END not in readme:
        return f"{readme.rstrip()}\n\n## Variables\n\n{section}\n"
    before, rest = readme.split(BEGIN, 1)
    return before + section + rest.split(END, 1)[1]


def generate(root: Path) -> dict[Path, str]:
    """Return what each generated file of the collection in ``root`` ought to contain, by its path."""
    options = load_cluster(root)
    files = {
        root / "roles" / "cluster" / "defaults" / "main.yml": render_defaults(options),
        root / "docs" / "variables.md": render_variables(options),
        root / "docs" / "cluster.schema.json": render_schema(options),
    }
    for role in sorted((root / "roles").iterdir()):
        readme = role / "README.md"
        entry_points = load_role(role)
        if readme.exists() and entry_points:
            files[readme] = render_readme(readme.read_text(encoding="utf-8"), entry_points)
    return files


def outdated(root: Path) -> list[Path]:
    """Return the generated files of the collection in ``root`` that differ from what its specifications say."""
    return [
        path for path, text in generate(root).items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Write every generated file of the collection in the working directory, or with ``--check`` name the outdated ones."""
    root = Path.cwd()
    stale = outdated(root)
    for path in stale:
        print(path.relative_to(root))
    if "--check" in arguments:
        return 1 if stale else 0
    for path, text in generate(root).items():
        if path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
