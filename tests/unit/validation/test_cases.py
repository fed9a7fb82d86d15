"""Each bad inventory of cases.yml gets the messages that stand there, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import OPERATION_VARIABLES

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_messages(case: dict[str, Any], check: Any) -> None:
    files = {**case.get("files", {}), **({"hosts.yml": case["hosts"]} if "hosts" in case else {})}
    findings = check(case.get("cluster", ""), files)
    assert [finding.message for finding in findings if not finding.warning] == case.get("mistakes", [])
    assert [finding.message for finding in findings if finding.warning] == case.get("doubts", [])


def test_the_variables_of_operations_are_those_that_roles_and_playbooks_read() -> None:
    root = Path(__file__).parents[3]
    read: set[str] = set()
    for path in root.glob("roles/*/meta/argument_specs.yml"):
        if path.parents[1].name != "cluster":
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
            read |= {name for entry in entries for name in entry.get("options", {})}
    for path in root.glob("playbooks/**/*.yml"):
        text = path.read_text(encoding="utf-8")
        read |= set(
            re.findall(
                r"\b((?:add|conformance|rebuild|remove|upgrade)_[a-z_]+) (?:\| default|is (?:not )?defined)", text
            )
        )
    assert sorted(read) == sorted(OPERATION_VARIABLES)


def test_each_message_has_a_place_and_nothing_of_python(check: Any) -> None:
    for case in CASES:
        for message in [*case.get("mistakes", []), *case.get("doubts", [])]:
            assert message.split(":")[0].endswith(".yml"), message
            # An audit level of Kubernetes has this name.
            assert "None" not in message or "cluster_audit_rules" in message, message
            assert "<" not in message, message


def test_mistakes_are_all_in_one_list(check: Any) -> None:
    """Cases of which none hides another, put together, bring the messages of all."""
    chosen = [
        "a version that is not supported",
        "a misspelt prefix",
        "a bare off",
        "none of the choices",
        "a port that is none",
        "an image repository with a scheme",
        "a folder for the kubeconfig",
    ]
    cases = [case for case in CASES if case["name"] in chosen]
    assert len(cases) == len(chosen)
    found = check("".join(case["cluster"] for case in cases))
    expected = {message.split(": ", 1)[1] for case in cases for message in case["mistakes"]}
    assert {finding.message.split(": ", 1)[1] for finding in found} == expected
