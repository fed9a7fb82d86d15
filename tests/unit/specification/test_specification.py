"""One source for every variable: what is generated from it is committed as generated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from kubestead import specification
from kubestead.cli.schema import schema
from kubestead.specification import Option

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def options() -> dict[str, Option]:
    return specification.load_cluster(ROOT)


def test_what_is_generated_is_up_to_date() -> None:
    stale = [str(path.relative_to(ROOT)) for path in specification.outdated(ROOT)]
    assert stale == [], f"run `{specification.COMMAND}`"


def defaults_of(role: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_specifies_what_it_has_defaults_for(role: str) -> None:
    entries = specification.load_role(ROOT / "roles" / role)
    assert entries, f"{role} has no meta/argument_specs.yml"
    specified = {name: option for entry in entries.values() for name, option in entry.options.items()}
    assert set(defaults_of(role)) == {name for name, option in specified.items() if not option.required}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_its_variables_after_itself(role: str) -> None:
    for entry in specification.load_role(ROOT / "roles" / role).values():
        assert [name for name in entry.options if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_readme_with_its_variables(role: str) -> None:
    text = (ROOT / "roles" / role / "README.md").read_text()
    assert text.count(specification.BEGIN) == text.count(specification.END) == 1


def test_there_are_sixty_public_variables_at_most(options: dict[str, Option]) -> None:
    assert len(options) <= 60
    assert all(name.startswith("cluster_") for name in options)


def test_defaults_are_the_specified_ones(options: dict[str, Option]) -> None:
    assert defaults_of("cluster") == {name: option.default for name, option in options.items()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ("off", '"off"'),
        ("1.36", '"1.36"'),
        ("10.244.0.0/16", "10.244.0.0/16"),
        ("null", '"null"'),
        ("a: b", '"a: b"'),
        (True, "true"),
        (6443, "6443"),
        (["root", "no"], '[root, "no"]'),
        ({}, "{}"),
        ({"a": "b"}, '{"a": "b"}'),
    ],
)
def test_a_value_is_written_so_that_it_is_read_back(value: Any, text: str) -> None:
    assert specification.yaml_value(value) == text
    assert yaml.safe_load(text) == value


def test_markup() -> None:
    text = "V(off) and C(/etc/hosts), see B(this), L(here, https://example.org) and U(https://example.com)"
    assert specification.plain(text) == (
        "`off` and /etc/hosts, see this, here (https://example.org) and https://example.com"
    )
    assert specification.markdown(text) == (
        "`off` and `/etc/hosts`, see **this**, [here](https://example.org) and <https://example.com>"
    )


def test_a_change_of_the_source_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shutil.copytree(ROOT / "roles/cluster", tmp_path / "roles/cluster")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    source = tmp_path / "roles/cluster/meta/argument_specs.yml"
    source.write_text(source.read_text().replace("default: 6443", "default: 7443"))
    monkeypatch.chdir(tmp_path)
    changed = [
        "roles/cluster/defaults/main.yml",
        "docs/variables.md",
        "docs/cluster.schema.json",
        "roles/cluster/README.md",
    ]

    assert specification.main(["--check"]) == 1
    assert sorted(capsys.readouterr().out.split()) == sorted(changed)
    assert specification.main([]) == 0
    assert specification.main(["--check"]) == 0
    assert "cluster_api_port: 7443" in (tmp_path / "roles/cluster/defaults/main.yml").read_text()


def test_a_readme_without_markers_gets_a_section() -> None:
    entry = specification.EntryPoint(options={"a_b": Option(description=["What | it is."], required=True, type="int")})
    text = specification.render_readme("# A role\n", {"main": entry})
    assert text.startswith("# A role\n\n## Variables\n\n<!-- variables -->\n")
    assert "| `a_b` | int | required | What \\| it is. |" in text
    assert specification.render_readme(text, {"main": entry}) == text


def test_keys_of_a_dictionary_and_other_entry_points_are_listed() -> None:
    inner = Option(description=["Inner."], choices=["x", "y"])
    entry = specification.EntryPoint(options={"a": Option(description=["Outer."], type="dict", options={"b": inner})})
    text = specification.render_readme("# A role\n", {"main": specification.EntryPoint(), "other": entry})
    assert "None of its own." in text
    assert "### `tasks_from: other`" in text
    assert "| `a.b` | str |  | Inner. One of `x`, `y`. |" in text


def test_an_unknown_key_of_a_specification_is_refused() -> None:
    with pytest.raises(ValidationError):
        Option.model_validate({"description": "x", "defualt": 1})


@pytest.fixture(scope="module")
def validator(options: dict[str, Option]) -> Any:
    document = specification.schema(options)
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.mark.parametrize(
    ("document", "right"),
    [
        ({}, True),
        ({"cluster_network": "flannel", "cluster_api_port": 6443, "own": 1}, True),
        ({"cluster_api_port": "{{ port }}", "cluster_network": "{{ network }}"}, True),
        ({"cluster_pod_cdir": "10.0.0.0/8"}, False),
        ({"cluster_network": "flanel"}, False),
        ({"cluster_api_port": "6443"}, False),
        ({"cluster_swap": False}, False),
        ({"cluster_kubernetes_version": 1.36}, False),
        ({"cluster_extra_sans": [1]}, False),
    ],
)
def test_the_schema(document: dict[str, Any], right: bool, validator: Any) -> None:
    assert validator.is_valid(document) is right


def test_the_schema_knows_the_inventories_that_are_shipped(validator: Any) -> None:
    for path in (ROOT / "inventories").glob("*/group_vars/all/*.yml"):
        validator.validate(yaml.safe_load(path.read_text()) or {})


def test_the_command_prints_the_schema() -> None:
    app = typer.Typer()
    app.command()(schema)
    printed = CliRunner().invoke(app, []).output
    assert json.loads(printed) == json.loads((ROOT / "docs/cluster.schema.json").read_text())
