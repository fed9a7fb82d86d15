"""Running tools: what is read, what is said when it fails, and what is known while they run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubestead.cluster.plugins.module_utils._command import (
    KubesteadError,
    Tool,
    json_documents,
    last_lines,
)


class Python(Tool):
    name = sys.executable


def real_module() -> AnsibleModule:
    with patch_module_args({}):
        return AnsibleModule(argument_spec={})


def run(code: str, **options: Any) -> Any:
    tool = Python(real_module())
    tool._path = sys.executable
    return tool.run("-u", "-c", code, **options)


def test_json_documents_reads_values_that_follow_one_another_and_opens_lists() -> None:
    text = '{"kind": "A"}\n{"kind": "PodList", "items": [{"kind": "B"}]} \n[1]\n'
    assert json_documents(text) == [{"kind": "A"}, {"kind": "B"}, [1]]
    assert json_documents(" \n") == []


def test_json_documents_refuses_what_follows_and_is_none() -> None:
    with pytest.raises(json.JSONDecodeError):
        json_documents('{"a": 1} error: something')


def test_last_lines_skips_blank_ones() -> None:
    assert last_lines("a\n\nb  \n \nc\n\n", 2) == "b\nc"


def test_input_output_and_language() -> None:
    outcome = run("import os, sys; print(sys.stdin.read().strip().upper(), os.environ['LC_ALL'])", data="hello")
    assert (outcome.rc, outcome.stdout) == (0, "HELLO C\n")


def test_a_failure_quotes_the_command_and_its_answer() -> None:
    with pytest.raises(KubesteadError) as caught:
        run("import sys; sys.exit('no such thing')", advice="Do this.")
    assert "failed with exit code 1: no such thing" in caught.value.message
    assert caught.value.message.endswith("Do this.")
    assert caught.value.details["rc"] == 1


def test_a_missing_tool_names_its_package() -> None:
    class Missing(Tool):
        name = "kubestead-has-no-such-tool"
        package = "the-package"

    tool = Missing(real_module())
    assert not tool.present
    with pytest.raises(KubesteadError, match="Install the package the-package"):
        tool.run()


def test_output_that_is_no_json_is_shown() -> None:
    tool = Python(real_module())
    tool._path = sys.executable
    with pytest.raises(KubesteadError, match=r"printed something that is not JSON.*hello"):
        tool.run_json("-c", "print('hello')")


def test_what_takes_too_long_is_stopped_and_its_last_words_are_told() -> None:
    with pytest.raises(KubesteadError, match=r"did not finish within 1 s and was stopped.*waiting for a friend"):
        run("import time; print('waiting for a friend', flush=True); time.sleep(60)", timeout=1)


def test_lines_are_told_while_the_command_runs(tmp_path: Path) -> None:
    """The command goes on only once its first line was told, so telling at the end would hang."""
    flag = tmp_path / "told"
    told: list[tuple[str, float]] = []

    def on_line(line: str, moment: float) -> None:
        told.append((line, moment))
        flag.touch()

    code = (
        f"import os, time\nprint('first')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\nprint('second')"
    )
    before = time.monotonic()
    outcome = run(code, on_line=on_line, timeout=30)
    assert [line for line, dummy in told] == ["first", "second"]
    assert outcome.stdout == "first\nsecond\n"
    assert before <= told[0][1] <= told[1][1] <= time.monotonic()


def test_much_output_passes_the_watch_unharmed() -> None:
    lines: list[str] = []
    outcome = run("for i in range(20000): print(i)", on_line=lambda line, _moment: lines.append(line))
    assert len(lines) == 20000
    assert outcome.stdout.count("\n") == 20000
