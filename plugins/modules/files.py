#!/usr/bin/python
# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: several files at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Several files of root's, written in one go, with the services that read them
description:
  - Writes the files whose content or mode is another, each in one step, and makes the folders that are missing. All files are checked
    before the first is written.
  - One call takes the time of one M(ansible.builtin.copy), where ten of them would be most of what a second run takes.
  - Services take up what was written within the same call. A handler would run later, and for a run that is broken off in between never.
  - Not for secrets, since what a module is called with stands in the machine's journal.
attributes:
  check_mode:
    description: Predicts the change and writes nothing.
    support: full
  diff_mode:
    description: Shows each file that changes.
    support: full
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file lies.
        type: path
        required: true
      content:
        description: What it holds.
        type: str
        required: true
      mode:
        description: Its mode, in octal digits.
        type: str
        default: "0644"
      validate:
        description:
          - A command that judges the content before it gets there. V(%s) in it stands for a file that holds it.
          - Where its program is not installed, which check mode on a new machine may meet, nothing is judged.
        type: list
        elements: str
        default: []
      restart:
        description: A service that is restarted, or started, when this file was written.
        type: str
      reload:
        description: A service that is reloaded, or started, when this file was written, unless it is restarted.
        type: str
"""

EXAMPLES = r"""
- name: Write what haproxy reads
  kubestead.cluster.files:
    files:
      - path: /etc/haproxy/haproxy.cfg
        content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
        validate: [haproxy, -c, -f, "%s"]
        reload: haproxy.service
      - path: /etc/systemd/system/haproxy.service.d/restart.conf
        restart: haproxy.service
        content: |
          [Service]
          Restart=always
"""

RETURN = r"""
written:
  description: The paths of the files that were written, or would be in check mode.
  returned: always
  type: list
  elements: str
services:
  description: The services that were restarted or reloaded, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import os
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

UNITS = "/etc/systemd/system/"


class File(t.NamedTuple):
    """A file as it is to be; mode is a number."""

    path: str
    content: str
    mode: int
    validate: t.Sequence[str] = ()
    restart: t.Optional[str] = None
    reload: t.Optional[str] = None


def parse(wanted: t.Mapping[str, t.Any]) -> File:
    """The file that one entry of the option asks for; an error where its mode is none."""
    try:
        mode = int(wanted["mode"], 8)
    except ValueError:
        raise KubesteadError(
            f"The mode of {wanted['path']} is {wanted['mode']!r}. Give it in octal digits, as '0644'."
        ) from None
    return File(**{**wanted, "mode": mode})


def present(path: str) -> tuple[t.Optional[str], t.Optional[int]]:
    """Content and mode of a file, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as handle:
            return handle.read(), stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
    except FileNotFoundError:
        return None, None


def stage(module: AnsibleModule, file: File, number: int) -> str:
    """A copy beside the module, judged by the file's own command; an error where that refuses it."""
    name = os.path.join(module.tmpdir, f"kubestead-{number}")
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
        handle.write(file.content)
    os.chmod(name, file.mode)
    if file.validate and module.get_bin_path(file.validate[0]):
        command = [name if word == "%s" else word for word in file.validate]
        rc, out, err = module.run_command(command)
        if rc != 0:
            raise KubesteadError(
                f"{file.path} was not written, nor any other file: `{' '.join(file.validate)}` ended with {rc}. "
                f"It said: {(err or out).strip() or 'nothing'}"
            )
    return name


def difference(file: File, before: t.Optional[str], mode: t.Optional[int]) -> dict[str, str]:
    """What Ansible shows of a file that changes; of its content only where anyone may read it."""
    hidden = not file.mode & stat.S_IROTH
    header = f"{file.path} (mode {file.mode:04o}{'' if mode in (None, file.mode) else f', was {mode:04o}'})"
    return {
        "before_header": file.path,
        "after_header": header,
        "before": "" if hidden else before or "",
        "after": "" if hidden else file.content,
    }


def tell_services(module: AnsibleModule, written: t.Sequence[File]) -> list[str]:
    """Have the services take up what was written; gives their names."""
    restart = sorted({file.restart for file in written if file.restart})
    reload = sorted({file.reload for file in written if file.reload} - set(restart))
    if not module.check_mode:
        if any(file.path.startswith(UNITS) for file in written):
            systemctl(module, "daemon-reload")
        for name in restart:
            systemctl(module, "restart", name)
        for name in reload:
            systemctl(module, "reload-or-restart", name)
    return [*restart, *reload]


def systemctl(module: AnsibleModule, *arguments: str) -> None:
    """Ask systemd; an error where it refuses."""
    rc, out, err = module.run_command(["systemctl", *arguments])
    if rc != 0:
        service = arguments[-1]
        raise KubesteadError(
            f"The files are written, but `systemctl {' '.join(arguments)}` ended with {rc}: {(err or out).strip()}. "
            f"`journalctl --unit {service}` on the machine tells more."
        )


def write(module: AnsibleModule, files: t.Sequence[File]) -> dict[str, t.Any]:
    """Write what differs; gives the module's result."""
    found = {file.path: present(file.path) for file in files}
    changing = [file for file in files if found[file.path] != (file.content, file.mode)]
    staged = [stage(module, file, number) for number, file in enumerate(changing)]
    if not module.check_mode:
        for name, file in zip(staged, changing):
            os.makedirs(os.path.dirname(file.path), mode=0o755, exist_ok=True)
            module.atomic_move(name, file.path)
            os.chmod(file.path, file.mode)
    return {
        "changed": bool(changing),
        "written": [file.path for file in changing],
        "services": tell_services(module, changing),
        "diff": [difference(file, *found[file.path]) for file in changing],
    }


def main() -> t.NoReturn:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                    "validate": {"type": "list", "elements": "str", "default": []},
                    "restart": {"type": "str"},
                    "reload": {"type": "str"},
                },
            }
        },
        supports_check_mode=True,
    )
    try:
        result = write(module, [parse(wanted) for wanted in module.params["files"]])
    except KubesteadError as error:
        module.fail_json(msg=error.message)
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")


if __name__ == "__main__":
    main()
