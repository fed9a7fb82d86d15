# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Action: every mistake of the inventory in one list, found on the controller."""

from __future__ import annotations

import os
import typing as t

import yaml
from ansible.plugins.action import ActionBase
from ansible_collections.kubestead.cluster.plugins.module_utils._preflight import FINDINGS
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import Mirror, report, validate
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_mirror import ask, held
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import Supported
from ansible_collections.kubestead.cluster.plugins.plugin_utils._inventory import read

try:
    from yaml import CSafeLoader as YamlLoader
except ImportError:
    from yaml import SafeLoader as YamlLoader  # type: ignore[assignment]

_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _read_yaml(*path: str) -> t.Any:
    with open(os.path.join(_COLLECTION, *path), encoding="utf-8") as file:
        return yaml.load(file, Loader=YamlLoader)


class ActionModule(ActionBase):
    """Measures the inventory that this run has loaded by the specification and the catalogue."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset()

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Return the findings; the task has failed where one of them is a mistake."""
        result: t.Dict[str, t.Any] = super().run(tmp, task_vars)
        options = _read_yaml("roles", "cluster", "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]
        catalogue = _read_yaml("roles", "cluster", "vars", "main", "catalogue.yml")["__cluster_catalogue"]
        supported = Supported.by(catalogue, FINDINGS)
        defaults = {name: option.get("default") for name, option in options.items()}
        inventory = read((task_vars or {})["hostvars"], self._templar, self._loader, defaults)
        findings = validate(inventory, options, supported, Mirror(ask, held))
        mistakes = [finding for finding in findings if not finding.warning]
        doubts = [finding for finding in findings if finding.warning]
        result.update(
            changed=False,
            failed=bool(mistakes),
            errors=[mistake.as_dict() for mistake in mistakes],
            doubts=[doubt.as_dict() for doubt in doubts],
            warnings=[doubt.message for doubt in doubts],
            msg=report(mistakes) if mistakes else f"The inventory is right: {len(inventory.hosts)} hosts.",
        )
        return result
