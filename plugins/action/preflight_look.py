# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action: node_state with a watch beside it, and with an answer also where the machine gives none."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

NODE_STATE = "kubestead.cluster.node_state"


class ActionModule(ActionBase):
    """Look at one machine."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """What was seen, or why nothing was; never a failure of the task, since the verdict is spoken over all machines at once."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec({"spec": {"type": "dict", "required": True}})  # type: ignore[no-untyped-call]
        result: t.Dict[str, t.Any] = {"changed": False, "spec": arguments["spec"]}
        before = time.time()
        try:
            look = self._execute_module(module_name=NODE_STATE, module_args={}, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return {**result, "problem": {"finding": "unreachable", "seen": _one_line(str(error))}}
        after = time.time()
        state = (look.get("ansible_facts") or {}).get("kubestead")
        if look.get("failed") or not state:
            return {**result, "problem": {"finding": "not-examined", "seen": _one_line(_complaint(look))}}
        state = {**state, "time": {**state["time"], "window": [before, after]}}
        return {**result, "ansible_facts": {"kubestead": state}}


def _complaint(look: t.Mapping[str, t.Any]) -> str:
    spoken = [str(look.get(key) or "").strip() for key in ("msg", "module_stderr", "module_stdout")]
    return " ".join(text for text in spoken if text) or "the module returned nothing"


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:300]} …"
