from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubestead.runs.secrets import Secrets, hide_options


@pytest.mark.parametrize(
    "options",
    [
        ["-e", "db_password=hunter22 name=x"],
        ["--extra-vars=db_password=hunter22"],
        ["-edb_password='hunter22'"],
        ["--extra-vars", json.dumps({"registry": {"token": "hunter22"}})],
        ["-e", "api_key=hunter22"],
        ["--extra-vars", '{"secrets": ["hunter22", "other"]}'],
    ],
)
def test_values_of_variables_that_look_secret_are_hidden(options: list[str]) -> None:
    assert Secrets.of(options).hide("it said hunter22.") == "it said ***."
    hidden = hide_options(["--check", *options])
    assert "hunter22" not in " ".join(hidden)
    assert "***" in " ".join(hidden)
    assert hidden[0] == "--check"


def test_a_file_of_variables_is_read_and_its_name_stays(tmp_path: Path) -> None:
    file = tmp_path / "vars.yml"
    file.write_text("vault_pass: hunter22\nname: harmless\n", encoding="utf-8")
    assert Secrets.of(["-e", f"@{file}"]).hide("hunter22 harmless") == "*** harmless"
    assert hide_options(["-e", f"@{file}"]) == ["-e", f"@{file}"]
    assert Secrets.of(["-e", f"@{tmp_path}/nowhere.yml"]).hide("hunter22") == "hunter22"


def test_everything_else_stays_as_it_was() -> None:
    options = ["-i", "home", "-e", "cluster_name=home", "--extra-vars", '{"reset_confirm":  "home"}', "-v"]
    assert hide_options(options) == options
    assert Secrets.of(options).hide({"msg": ["home", 3, None]}) == {"msg": ["home", 3, None]}


def test_a_short_value_is_hidden_on_the_line_only() -> None:
    assert hide_options(["-e", "password=on"]) == ["-e", "password=***"]
    assert Secrets.of(["-e", "password=on"]).hide("control-plane-1 is on") == "control-plane-1 is on"


def test_a_value_is_hidden_as_json_writes_it_too() -> None:
    secrets = Secrets.of(["-e", json.dumps({"password": 'so "quoted"'})])
    assert secrets.hide(json.dumps({"msg": 'so "quoted"'})) == '{"msg": "***"}'
    assert secrets.hide({"msg": [' so "quoted"!']}) == {"msg": [" ***!"]}


def test_a_secret_within_another_leaves_nothing_over() -> None:
    assert Secrets(["hunter", "hunter22"]).hide("hunter22 hunter") == "*** ***"
