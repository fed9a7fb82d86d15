#!/usr/bin/python
# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Module: where containerd asks for the images of each registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirrors
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Where containerd asks for the images of each registry
description:
  - Writes one C(hosts.toml) for each registry that has mirrors, and removes those that it wrote for registries that have none any more.
    Files of others are left alone.
  - containerd reads these files for each pull, so no change of them needs a restart.
attributes:
  check_mode:
    description: Predicts the change and writes nothing.
    support: full
  diff_mode:
    description: Shows each file that changes.
    support: full
options:
  mirrors:
    description:
      - For the host name of a registry, the URLs to ask before it, in order.
      - A URL with a path of its own is taken as it is; to one without, containerd adds C(/v2).
    type: dict
    required: true
  path:
    description: Folder that containerd's C(config_path) names.
    type: path
    default: /etc/containerd/certs.d
"""

EXAMPLES = r"""
- name: Ask a mirror for images of docker.io
  kubestead.cluster.registry_mirrors:
    mirrors:
      docker.io: [https://mirror.example]
"""

RETURN = r"""
registries:
  description: The registries whose files were written or removed, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

HEADER = "# Written by Kubestead. Hosts are asked in this order, the server last.\n"
# The one registry whose API is not at its own name.
SERVERS = {"docker.io": "registry-1.docker.io"}


def hosts_toml(registry: str, urls: t.Sequence[str]) -> str:
    """The file for one registry, in containerd's format."""
    text = HEADER + f'server = "https://{SERVERS.get(registry, registry)}"\n'
    for url in urls:
        text += f'\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'
        if "/" in url.split("://", 1)[-1].rstrip("/"):
            text += "override_path = true\n"
    return text


def read(path: str) -> str:
    """What a file holds; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def present(folder: str) -> t.Dict[str, str]:
    """The files below the folder that this module wrote, by registry."""
    registries = os.listdir(folder) if os.path.isdir(folder) else []
    texts = {registry: read(os.path.join(folder, registry, "hosts.toml")) for registry in registries}
    return {registry: text for registry, text in texts.items() if text.startswith(HEADER)}


def write(module: AnsibleModule, path: str, text: str) -> None:
    """Put the text in place at once, so that no pull reads half of it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = os.path.join(module.tmpdir, "hosts.toml")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    module.atomic_move(temporary, path)


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "mirrors": {"type": "dict", "required": True},
            "path": {"type": "path", "default": "/etc/containerd/certs.d"},
        },
        supports_check_mode=True,
    )
    folder: str = module.params["path"]
    wanted = {registry: hosts_toml(registry, urls) for registry, urls in module.params["mirrors"].items()}
    found = present(folder)
    before = {
        registry: found.get(registry) or read(os.path.join(folder, registry, "hosts.toml")) for registry in wanted
    }
    before.update(found)
    changed = sorted(registry for registry in before if before[registry] != wanted.get(registry, ""))
    if not module.check_mode:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        for registry in changed:
            path = os.path.join(folder, registry, "hosts.toml")
            if registry in wanted:
                write(module, path, wanted[registry])
            else:
                os.unlink(path)
                if not os.listdir(os.path.dirname(path)):
                    os.rmdir(os.path.dirname(path))
    diff = [
        {
            "before": before[registry],
            "after": wanted.get(registry, ""),
            "before_header": os.path.join(folder, registry, "hosts.toml"),
            "after_header": os.path.join(folder, registry, "hosts.toml"),
        }
        for registry in changed
    ]
    module.exit_json(changed=bool(changed), registries=changed, diff=diff)


if __name__ == "__main__":
    main()
