# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action: the verdict over all machines that were looked at."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.kubestead.cluster.plugins.module_utils._preflight import Finding, judge, report


class ActionModule(ActionBase):
    """Judge all machines on the controller."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """All findings of all hosts; a failure where one of them stops the run."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec({"looks": {"type": "dict", "required": True}})  # type: ignore[no-untyped-call]
        looks = arguments["looks"]
        findings = verdict(looks)
        return {
            "changed": False,
            "failed": any(finding.stops for finding in findings),
            "msg": report(findings, list(looks)),
            # Ansible then shows the message of a success too.
            "_ansible_verbose_always": bool(findings),
        }


def verdict(looks: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.List[Finding]:
    """The findings that follow from what preflight_look returned for each host."""
    return judge(
        states={host: look["ansible_facts"]["kubestead"] for host, look in looks.items() if "problem" not in look},
        spec={host: look["spec"] for host, look in looks.items()},
        problems={
            host: (look["problem"]["finding"], look["problem"]["seen"])
            for host, look in looks.items()
            if "problem" in look
        },
        probes={host: look["probe"] for host, look in looks.items() if "probe" in look},
    )
