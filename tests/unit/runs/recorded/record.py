"""Records events.json anew: ``python tests/unit/runs/recorded/record.py``. The tests read the recording, not Ansible."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import ansible_runner

HERE = Path(__file__).resolve().parent


def main() -> None:
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> bool:
        events.append(event)
        return False

    with tempfile.TemporaryDirectory() as scratch:
        ansible_runner.run(
            private_data_dir=scratch,
            project_dir=str(HERE),
            playbook="playbook.yml",
            inventory=str(HERE / "hosts.yml"),
            extravars={"scratch": scratch},
            event_handler=keep,
            quiet=True,
            suppress_env_files=True,
            envvars={"ANSIBLE_DEPRECATION_WARNINGS": "false"},
        )
        text = json.dumps([_shortened(event) for event in events], indent=1)
    for found, general in (
        (str(HERE), "/src"),
        (scratch, "/scratch"),
        (str(Path.home()), "/home/user"),
        (os.uname().nodename, "controller"),
    ):
        text = text.replace(found, general)
    (HERE / "events.json").write_text(text + "\n", encoding="utf-8")


def _shortened(event: dict[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in event.get("event_data", {}).items() if not key.endswith(("uuid", "_pattern"))}
    return {"event": event["event"], "created": event["created"], "event_data": data}


if __name__ == "__main__":
    main()
