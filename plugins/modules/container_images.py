#!/usr/bin/python
# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Module: images that a node has before it needs them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
author: Kubestead contributors (@kubestead)
version_added: 0.1.0
short_description: Images that a node has before it needs them
description:
  - Asks the container runtime through C(crictl) which images it holds, and pulls those that are missing.
  - Names are taken as they are, so mirrors are the runtime's affair, unless O(mirrors) names some. Those are for Docker, which knows
    mirrors of C(docker.io) only. An image is pulled under the mirror's name, then Docker gives it its own.
attributes:
  check_mode:
    description: Reports the images that would be pulled and pulls none.
    support: full
  diff_mode:
    description: Has no diff.
    support: none
options:
  images:
    description: Full references, each with a registry and a tag or digest.
    type: list
    elements: str
    required: true
  mirrors:
    description: For the host name of a registry, what stands in its place in an image's name, in the order in which they are tried.
    type: dict
    default: {}
  again:
    description:
      - Whether to pull also what the node holds, in case another image stands under the name now.
      - A change is reported where that was so.
    type: bool
    default: false
  attempts:
    description: How often a pull is tried, since registries fail for moments.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Pull the pause image
  kubestead.cluster.container_images:
    images:
      - registry.k8s.io/pause:3.10.2

- name: Have Docker pull it from a mirror
  kubestead.cluster.container_images:
    images:
      - registry.k8s.io/pause:3.10.2
    mirrors:
      registry.k8s.io: ["192.0.2.10:8765/registry.k8s.io"]
"""

RETURN = r"""
pulled:
  description: The images that were missing or are others now. In check mode those that are missing.
  returned: always
  type: list
  elements: str
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule


def identities(listing: str) -> t.Dict[str, str]:
    """For every tag in what C(crictl images --output json) printed, the image that it stands for."""
    images = json.loads(listing).get("images") or []
    return {name: str(image.get("id")) for image in images for name in image.get("repoTags") or []}


def held_images(listing: str) -> t.Set[str]:
    """Every tag and digest in what C(crictl images --output json) printed."""
    images = json.loads(listing).get("images") or []
    return {name for image in images for key in ("repoTags", "repoDigests") for name in image.get(key) or []}


def places(image: str, mirrors: t.Mapping[str, t.Sequence[str]]) -> t.List[str]:
    """The names under which an image is looked for, its own the last."""
    registry, _slash, rest = image.partition("/")
    return [*(f"{mirror}/{rest}" for mirror in mirrors.get(registry) or []), image]


class Puller:
    """The runtime of one node, spoken to through crictl."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._mirrors: t.Mapping[str, t.Sequence[str]] = module.params["mirrors"]
        self._crictl: t.Optional[str] = module.get_bin_path("crictl")

    def missing(self, images: t.Sequence[str]) -> t.List[str]:
        """Those of the images that the runtime does not hold; all of them where there is no runtime yet."""
        listing = self._listing()
        if listing is None:
            return list(images)
        held = held_images(listing)
        return [image for image in images if image not in held]

    def identities(self) -> t.Dict[str, str]:
        """For every tag that the runtime holds the image that it stands for."""
        return identities(self._listing() or "{}")

    def _listing(self) -> t.Optional[str]:
        """What the runtime holds, None where that cannot be told yet, in check mode."""
        if self._crictl is None:
            if self._module.check_mode:
                return None
            self._module.fail_json(msg="crictl was not found. It comes with kubeadm's packages: install them first.")
        command = [self._crictl, "images", "--output", "json"]
        code, stdout, stderr = self._module.run_command(command)
        if code != 0:
            if self._module.check_mode:
                return None
            self._fail(
                "list the images",
                command,
                stderr,
                "See whether the container runtime runs: systemctl status containerd docker cri-docker.",
            )
        return str(stdout)

    def pull(self, image: str, attempts: int) -> None:
        """Pull one image. Ends the module where the last attempt fails too."""
        said: t.List[str] = []
        for place in places(image, self._mirrors):
            command = [str(self._crictl), "pull", place]
            for _attempt in range(attempts):
                code, _stdout, stderr = self._module.run_command(command)
                if code == 0:
                    self._name(place, image)
                    return
            said.append(stderr)
        self._fail(
            f"pull {image} in {attempts} attempts",
            command,
            "\n".join(said),
            "Where the registry is out of reach, set cluster_mirror_url or cluster_registry_mirrors.",
        )

    def _name(self, place: str, image: str) -> None:
        """Give an image that came from a mirror its own name, and take that of the mirror from it."""
        if place == image:
            return
        docker = self._module.get_bin_path("docker", required=True)
        for command in ([docker, "image", "tag", place, image], [docker, "image", "rm", place]):
            code, _stdout, stderr = self._module.run_command(command)
            if code != 0:
                self._fail(
                    f"give {place} its name {image}",
                    command,
                    stderr,
                    "See whether Docker runs: systemctl status docker.",
                )

    def _fail(self, what: str, command: t.Sequence[str], stderr: str, advice: str) -> t.NoReturn:
        last = "\n".join(stderr.strip().splitlines()[-3:])
        self._module.fail_json(msg=f"Could not {what}.\nTried: {' '.join(command)}\nCame back: {last}\n{advice}")
        raise AssertionError("fail_json does not return")


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "required": True},
            "mirrors": {"type": "dict", "default": {}},
            "again": {"type": "bool", "default": False},
            "attempts": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    puller = Puller(module)
    images = module.params["images"]
    pulled = puller.missing(images)
    if not module.check_mode:
        again = module.params["again"]
        before = puller.identities() if again else {}
        for image in images if again else pulled:
            puller.pull(image, module.params["attempts"])
        if again:
            after = puller.identities()
            pulled = [image for image in images if image in pulled or before.get(image) != after.get(image)]
    module.exit_json(changed=bool(pulled), pulled=pulled)


if __name__ == "__main__":
    main()
