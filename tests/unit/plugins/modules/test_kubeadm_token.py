"""Bootstrap tokens: used again, made, stored, deleted, and never on a command line."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.modules.kubeadm_token import Tokens

NOW = datetime.datetime.fromisoformat("2026-11-21T06:24:48+00:00")
GROUPS = ["system:bootstrappers:kubeadm:default-node-token"]
SECRET = "fedcba9876543210"


class Module:
    """Answers as kubeadm and kubectl do, for the tokens that it holds."""

    def __init__(self, tokens: list[dict[str, Any]], **params: Any) -> None:
        self.tokens = tokens
        self.check_mode = False
        self.commands: list[list[str]] = []
        self.params = {
            "state": "present",
            "token": None,
            "ttl": "30m",
            "description": "ours",
            "kubeconfig": "/",
            "usages": ["signing", "authentication"],
            "groups": GROUPS,
            **params,
        }

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, command: list[str], data: str | None = None, **_options: Any) -> tuple[int, str, str]:
        self.commands.append(command)
        if command[0] == "kubectl":
            stored = json.loads(data or "{}")["stringData"]
            self.tokens = [token for token in self.tokens if not token["token"].startswith(stored["token-id"])]
            self.tokens.append(
                token(f"{stored['token-id']}.{stored['token-secret']}", stored.get("expiration"), stored["description"])
            )
            return 0, "", ""
        verb = command[2]
        if verb == "create":
            self.tokens.append(
                token(f"new000.{SECRET}", "2026-11-21T06:54:48Z", command[command.index("--description") + 1])
            )
            return 0, f"new000.{SECRET}\n", ""
        if verb == "delete":
            self.tokens = [entry for entry in self.tokens if not entry["token"].startswith(command[3])]
            return 0, "", ""
        return 0, "\n".join(json.dumps(entry) for entry in self.tokens), ""


def token(value: str, expires: str | None = "2026-11-21T06:54:48Z", description: str = "ours") -> dict[str, Any]:
    made = {"token": value, "description": description, "usages": ["authentication", "signing"], "groups": GROUPS}
    return {**made, "expires": expires} if expires else made


def perform(module: Module) -> dict[str, Any]:
    tokens = Tokens(module)  # type: ignore[arg-type]
    tokens.now = NOW
    return tokens.perform()


def verbs(module: Module) -> list[str]:
    return [command[2] if command[0] == "kubeadm" else command[1] for command in module.commands]


def test_a_token_is_made_where_there_is_none() -> None:
    module = Module([])
    result = perform(module)
    assert (result["changed"], result["token"], result["id"]) == (True, f"new000.{SECRET}", "new000")
    assert [entry["id"] for entry in result["tokens"]] == ["new000"]
    assert SECRET not in json.dumps([result["tokens"], result["diff"], module.commands])


@pytest.mark.parametrize(
    ("expires", "ttl", "again"),
    [
        ("2026-11-21T06:54:48Z", "30m", True),
        ("2026-11-21T06:40:00Z", "30m", True),
        ("2026-11-21T06:39:00Z", "30m", False),
        ("2026-11-21T06:24:00Z", "30m", False),
        ("2026-11-22T06:24:00Z", "30m", False),
        (None, "30m", False),
        (None, "0", True),
        ("2026-11-22T06:24:00Z", "0", False),
    ],
)
def test_a_token_is_used_again_while_it_is_good_for_long_enough_and_no_longer(
    expires: str | None, ttl: str, again: bool
) -> None:
    module = Module([token(f"old000.{SECRET}", expires)], ttl=ttl)
    result = perform(module)
    assert result["changed"] is not again
    assert result["id"] == ("old000" if again else "new000")


@pytest.mark.parametrize("difference", [{"description": "others"}, {"usages": ["signing"]}, {"groups": []}])
def test_a_token_of_another_kind_is_left_alone(difference: dict[str, Any]) -> None:
    module = Module([{**token(f"old000.{SECRET}"), **difference}])
    assert perform(module)["id"] == "new000"
    assert len(module.tokens) == 2


def test_check_mode_makes_nothing_and_says_so() -> None:
    module = Module([])
    module.check_mode = True
    result = perform(module)
    assert (result["changed"], result["token"], result["tokens"]) == (True, "", [])
    assert verbs(module) == ["list"]


def test_a_given_token_goes_to_standard_input_only() -> None:
    given = f"given0.{SECRET}"
    module = Module([], token=given)
    assert perform(module)["changed"]
    assert SECRET not in json.dumps(module.commands)
    assert verbs(module) == ["list", "create", "list"]
    assert not perform(module)["changed"]
    module.params["description"] = "other words"
    assert perform(module)["changed"]
    assert "replace" in verbs(module)
    assert [entry["description"] for entry in module.tokens] == ["other words"]


@pytest.mark.parametrize("given", [f"old000.{SECRET}", "old000"])
def test_a_token_is_deleted_by_its_public_part(given: str) -> None:
    module = Module([token(f"old000.{SECRET}"), token("other0.0000000000000000")], state="absent", token=given)
    assert perform(module)["changed"]
    assert module.commands[-1][:4] == ["kubeadm", "token", "delete", "old000"]
    assert not perform(module)["changed"]


def test_deleting_by_description_and_in_check_mode() -> None:
    module = Module([token(f"old000.{SECRET}"), token("other0.0000000000000000", description="others")], state="absent")
    module.check_mode = True
    predicted = perform(module)
    assert (predicted["changed"], len(module.tokens)) == (True, 2)
    assert [entry["id"] for entry in predicted["tokens"]] == ["other0"]
    module.check_mode = False
    assert perform(module)["changed"]
    assert [entry["token"][:6] for entry in module.tokens] == ["other0"]


def test_the_empty_token_of_check_mode_deletes_nothing() -> None:
    module = Module([token(f"old000.{SECRET}")], state="absent", token="")
    assert not perform(module)["changed"]


def test_listing_changes_nothing() -> None:
    result = perform(Module([token(f"old000.{SECRET}")], state="listed"))
    assert result == {
        "changed": False,
        "tokens": [
            {
                "id": "old000",
                "description": "ours",
                "expires": "2026-11-21T06:54:48Z",
                "usages": ["authentication", "signing"],
                "groups": GROUPS,
            }
        ],
    }


@pytest.mark.parametrize("wrong", ["abc", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcde", "abcdef"])
def test_a_malformed_token_is_refused_before_anything_is_asked(wrong: str) -> None:
    module = Module([], token=wrong)
    with pytest.raises(KubesteadError, match="six characters, a dot and sixteen"):
        perform(module)
    assert module.commands == []


def test_without_credentials(tmp_path: Path) -> None:
    module = Module([], kubeconfig=str(tmp_path / "admin.conf"))
    with pytest.raises(KubesteadError, match="delegate the task to one"):
        perform(module)
    module.check_mode = True
    assert perform(module)["changed"]
