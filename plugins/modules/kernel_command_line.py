#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: parameters in a file that holds the kernel's command line."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_command_line
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Parameters in a file that holds the kernel's command line
description:
  - Adds parameters to the one line that a Raspberry Pi's firmware hands to the kernel, and takes others out.
  - The line stays one line, and what else stands in it stays as it is and where it is. Parameters are added at the end.
  - The kernel reads the line at boot, so a change has no effect before the next one.
attributes:
  check_mode:
    description: Predicts the change and writes nothing.
    support: full
  diff_mode:
    description: Shows the line as it was and as it becomes.
    support: full
options:
  path:
    description: The file, for example C(/boot/firmware/cmdline.txt).
    type: path
    required: true
  present:
    description: Parameters that the line must have, each as one word.
    type: list
    elements: str
    default: []
  absent:
    description: Parameters that it must not have.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Have the kernel account memory
  kubestead.cluster.kernel_command_line:
    path: /boot/firmware/cmdline.txt
    present: [cgroup_memory=1, cgroup_enable=memory]
    absent: [cgroup_disable=memory]
"""

RETURN = r"""
command_line:
  description: The line as it is now, or would be in check mode.
  returned: always
  type: str
  sample: console=tty1 root=PARTUUID=738a4d67-02 rootwait cgroup_memory=1 cgroup_enable=memory
"""

import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._node_operation import conclude


def with_parameters(line: str, present: t.Sequence[str], absent: t.Sequence[str]) -> str:
    """The line with the parameters that it must have, and without those that it must not."""
    kept = line
    for word in absent:
        kept = re.sub(rf"(?:^|(?<=\s)){re.escape(word)}(?:\s+|$)", "", kept)
    missing = [word for word in present if word not in kept.split()]
    return " ".join([kept.rstrip(), *missing]) if missing or kept != line else line


def edited(path: str, text: str, present: t.Sequence[str], absent: t.Sequence[str]) -> str:
    """The file's text with its line edited; an error where it does not hold just one line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise KubesteadError(
            f"{path} holds {len(lines)} lines, and the firmware reads one. Nothing was changed. "
            "Bring what the kernel is to be told into one line (a line break in the middle cuts it off there), and run the same again."
        )
    return text.replace(lines[0], with_parameters(lines[0], present, absent))


def words(module: AnsibleModule, option: str) -> list[str]:
    """The parameters of an option; an error where one of them is not one word."""
    given: list[str] = module.params[option]
    for one in given:
        if one.split() != [one]:
            raise KubesteadError(
                f"{option} has {one!r}, which is not one word. Give each parameter as an entry of its own."
            )
    return given


def perform(module: AnsibleModule) -> dict[str, t.Any]:
    """Edit the file; gives the module's result."""
    path = module.params["path"]
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            before = handle.read()
    except OSError as error:
        raise KubesteadError(
            f"{path} cannot be read: {error.strerror}. Is the partition that the firmware boots from mounted?"
        ) from error
    after = edited(path, before, words(module, "present"), words(module, "absent"))
    if after != before and not module.check_mode:
        write(module, path, after)
    return {
        "changed": after != before,
        "command_line": after.strip(),
        "diff": {"before_header": path, "after_header": path, "before": before, "after": after},
    }


def write(module: AnsibleModule, path: str, text: str) -> None:
    """Put the text in place at once: half a line would be a machine that does not boot."""
    temporary = os.path.join(module.tmpdir, "command-line")
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    module.atomic_move(temporary, path)


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "present": {"type": "list", "elements": "str", "default": []},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    conclude(module, lambda: perform(module))


if __name__ == "__main__":
    main()
