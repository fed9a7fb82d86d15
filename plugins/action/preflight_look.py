# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action: node_state with a watch beside it, on load balancers a probe, and an answer also where the machine gives none."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubestead.cluster.plugins.module_utils._preflight import (
    connection_problem,
    virtual_ip_interface,
)

NODE_STATE = "kubestead.cluster.node_state"
PROBE = "kubestead.cluster.virtual_ip_probe"
PROBED = ("answers", "routers", "keepalived", "haproxy")


class ActionModule(ActionBase):
    """Look at one machine."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """What was seen, or why nothing was; never a failure of the task, since the verdict is spoken over all machines at once."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec({"spec": {"type": "dict", "required": True}})  # type: ignore[no-untyped-call]
        result: t.Dict[str, t.Any] = {"changed": False, "spec": arguments["spec"]}
        try:
            return {**result, **self._look(arguments["spec"], task_vars or {})}
        except AnsibleError as error:
            name = connection_problem(str(error))
            if name is None and not isinstance(error, AnsibleConnectionFailure):
                raise
            return {**result, "problem": {"finding": name or "unreachable", "seen": _one_line(str(error))}}

    def _look(self, spec: t.Mapping[str, t.Any], task_vars: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        before = time.time()
        look = self._execute_module(module_name=NODE_STATE, module_args={}, task_vars=task_vars)
        after = time.time()
        state = (look.get("ansible_facts") or {}).get("kubestead")
        if look.get("failed") or not state:
            complaint = _one_line(_complaint(look))
            return {"problem": {"finding": connection_problem(complaint) or "not-examined", "seen": complaint}}
        state = {**state, "time": {**state["time"], "window": [before, after]}}
        seen: t.Dict[str, t.Any] = {"ansible_facts": {"kubestead": state}}
        if spec.get("load_balancer") and spec.get("cluster_virtual_ip"):
            seen["probe"] = self._probe(spec, state, task_vars)
        return seen

    def _probe(
        self, spec: t.Mapping[str, t.Any], state: t.Mapping[str, t.Any], task_vars: t.Dict[str, t.Any]
    ) -> t.Dict[str, t.Any]:
        """What the network says of the virtual IP, or why it could not be asked, which is judged with the rest."""
        interface = virtual_ip_interface(task_vars["inventory_hostname"], state, spec)
        module_args = {"address": spec["cluster_virtual_ip"], "interface": interface["name"] if interface else None}
        probe = self._execute_module(module_name=PROBE, module_args=module_args, task_vars=task_vars)
        failure = {"failure": _one_line(_complaint(probe))} if probe.get("failed") else {}
        return {**{key: probe[key] for key in PROBED if key in probe}, **failure}


def _complaint(look: t.Mapping[str, t.Any]) -> str:
    spoken = [str(look.get(key) or "").strip() for key in ("msg", "module_stderr", "module_stdout")]
    return " ".join(text for text in spoken if text) or "the module returned nothing"


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:300]} …"
