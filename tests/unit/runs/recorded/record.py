"""Records events.json and plan.json anew: ``python tests/unit/runs/recorded/record.py``. The tests read the recording, not Ansible."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import ansible_runner

HERE = Path(__file__).resolve().parent


def main() -> None:
    record("playbook.yml", "events.json", inventory="hosts.yml")
    # In check mode, on a machine that knows apt and is no node.
    record("plan.yml", "plan.json", inventory="plan-hosts.yml", cmdline="--check")


def record(playbook: str, recording: str, *, inventory: str, cmdline: str = "") -> None:
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> bool:
        events.append(event)
        return False

    with tempfile.TemporaryDirectory() as scratch:
        ansible_runner.run(
            private_data_dir=scratch,
            project_dir=str(HERE),
            playbook=playbook,
            inventory=str(HERE / inventory),
            cmdline=cmdline or None,
            extravars={"scratch": scratch},
            event_handler=keep,
            quiet=True,
            suppress_env_files=True,
            envvars={"ANSIBLE_DEPRECATION_WARNINGS": "false", "ANSIBLE_CONFIG": str(HERE.parents[3] / "ansible.cfg")},
        )
        text = json.dumps([_shortened(event) for event in events], indent=1)
    for found, general in (
        (str(HERE), "/src"),
        (scratch, "/scratch"),
        (str(Path.home()), "/home/user"),
        (os.uname().nodename, "controller"),
    ):
        text = text.replace(found, general)
    (HERE / recording).write_text(text + "\n", encoding="utf-8")


def _shortened(event: dict[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in event.get("event_data", {}).items() if not key.endswith(("uuid", "_pattern"))}
    return {"event": event["event"], "created": event["created"], "event_data": data}


if __name__ == "__main__":
    main()
