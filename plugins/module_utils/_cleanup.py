# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all parts of a cleanup share: the machine, its commands and files, and the account of what went and what stays."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, Outcome, Tool

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MARK = "Written by Kubestead."
_OCTAL = re.compile(r"\\([0-7]{3})")


def several(count: int, noun: str) -> str:
    """A count and its noun, as one says it."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Command(Tool):
    """A tool that is known by its name alone."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        super().__init__(module, {"DEBIAN_FRONTEND": "noninteractive"})
        self.name = name


class Machine:
    """The machine that is cleaned; root is the directory that stands for /.

    `removed` tells what went, or in check mode would go. `left` tells what stays and why.
    """

    def __init__(self, module: AnsibleModule, root: str = "/") -> None:
        self.module = module
        self.root = root
        self.removed: list[str] = []
        self.left: list[str] = []
        self._tools: dict[str, Command] = {}

    # commands

    def tool(self, name: str) -> Command:
        """The tool of that name, whether it is there or not."""
        if name not in self._tools:
            self._tools[name] = Command(self.module, name)
        return self._tools[name]

    def has(self, name: str) -> bool:
        """Whether the machine has a tool."""
        return self.tool(name).present

    def run(self, name: str, *args: str, **options: t.Any) -> Outcome:
        """Run a tool; an error where it fails, unless `check` is false."""
        return self.tool(name).run(*args, **options)

    def ask(self, name: str, *args: str) -> str:
        """What a tool prints; nothing where it is missing or fails."""
        if not self.has(name):
            return ""
        outcome = self.run(name, *args, check=False, timeout=60)
        return outcome.stdout if outcome.rc == 0 else ""

    def ask_json(self, name: str, *args: str) -> list[t.Any]:
        """The JSON documents that a tool prints; none where it is missing or says nothing."""
        return self.tool(name).run_json(*args) if self.has(name) else []

    # the account

    def take(self, what: str, act: t.Callable[[], object]) -> None:
        """Note that something goes, and let it go unless this is check mode."""
        if what not in self.removed:
            self.removed.append(what)
        if not self.module.check_mode:
            act()

    def leave(self, what: str) -> None:
        """Note that something stays, and why."""
        if what not in self.left:
            self.left.append(what)

    # files

    def path(self, path: str) -> str:
        """Where a path of the machine lies."""
        return os.path.join(self.root, path.lstrip("/"))

    def glob(self, pattern: str) -> list[str]:
        """Paths of the machine that match."""
        return sorted("/" + os.path.relpath(found, self.root) for found in glob.glob(self.path(pattern)))

    def text(self, path: str) -> str:
        """The text of a file; nothing where there is none."""
        try:
            with open(self.path(path), encoding="utf-8", errors="surrogateescape") as handle:
                return handle.read()
        except OSError:
            return ""

    def is_ours(self, path: str) -> bool:
        """Whether a file begins with our mark."""
        return any(MARK in line for line in self.text(path).splitlines()[:1])

    def take_file(self, path: str) -> None:
        """Let a file or a link go, if it is there."""
        real = self.path(path)
        if os.path.lexists(real):
            self.take(f"file {path}", lambda: os.unlink(real))

    def take_files(self, paths: t.Sequence[str], what: str) -> None:
        """Let several files go under one heading."""
        if paths:

            def act() -> None:
                for path in paths:
                    os.unlink(self.path(path))

            self.take(f"{several(len(paths), 'file')} of {what}", act)

    def rewrite(self, path: str, text: str, what: str) -> None:
        """Give a file another content, and keep its owner and mode; files that cannot be renamed over are written in place."""

        def act() -> None:
            new = os.path.join(self.module.tmpdir, "kubestead-rewritten")
            with open(new, "w", encoding="utf-8", errors="surrogateescape") as handle:
                handle.write(text)
            self.module.atomic_move(new, self.path(path), unsafe_writes=True)

        self.take(what, act)

    def take_empty(self, *paths: str) -> None:
        """Let folders go that hold nothing, in this order; others stay without a word."""
        for path in paths:
            with contextlib.suppress(OSError):
                if not self.module.check_mode:
                    os.rmdir(self.path(path))

    def take_folder(self, path: str) -> None:
        """Let a folder go with all that it holds.

        What is mounted in it is unmounted first. A folder that is itself a mount or a link is emptied, since somebody
        else put it there.
        """
        real = self.path(path)
        if not os.path.lexists(real):
            return
        kept = os.path.islink(real) or os.path.realpath(real) in self.mounts()
        if kept and (not os.path.isdir(real) or not os.listdir(real)):
            return
        self.unmount_below(path)
        if kept:
            self.leave(f"folder {path}, empty: somebody else mounted or linked it")
        self.take(f"{'content of ' if kept else ''}folder {path}", lambda: self._empty(real, remove=not kept))

    def _empty(self, real: str, remove: bool) -> None:
        inside = os.path.realpath(real) + os.sep
        busy = [mount for mount in self.mounts() if mount.startswith(inside)]
        if busy:
            raise KubesteadError(
                f"{real} was not removed, because {busy[0]} is still mounted in it and what lies there may not be ours. "
                f"See who uses it with `fuser -vm {busy[0]}`, unmount it, and run the same again."
            )
        if remove:
            shutil.rmtree(real)
            return
        with os.scandir(real) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)

    # mounts

    def mounts(self) -> list[str]:
        """Every mount point, in the order of mounting."""
        lines = self.text("/proc/self/mountinfo").splitlines()
        points = (_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), line.split(" ")[4]) for line in lines)
        return [self.path(point) if self.root != "/" else point for point in points]

    def unmount_below(self, path: str) -> None:
        """Unmount what is mounted in a folder, the last mount first, and by force of patience where it is in use."""
        inside = os.path.realpath(self.path(path)) + os.sep
        found = [mount for mount in self.mounts() if mount.startswith(inside)]
        if found:
            self.take(f"{several(len(found), 'mount')} below {path}", lambda: self._unmount(found))

    def _unmount(self, mounts: t.Sequence[str]) -> None:
        for mount in reversed(mounts):
            if self.run("umount", mount, check=False, timeout=20).rc != 0 and mount in self.mounts():
                self.run("umount", "--lazy", mount, timeout=20)

    # units

    def unit(self, name: str) -> dict[str, str]:
        """What systemd knows of a unit: LoadState, ActiveState, UnitFileState; nothing where there is no systemd."""
        shown = self.ask("systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", name)
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def stop_unit(self, name: str) -> None:
        """Stop a unit that runs, or that systemd is about to start again."""
        if self.unit(name).get("ActiveState", "inactive") not in ("inactive", "failed"):
            self.take(f"running {name}", lambda: self.run("systemctl", "stop", name, timeout=120))

    def disable_unit(self, name: str) -> None:
        """Keep a unit from starting at boot."""
        if self.unit(name).get("UnitFileState") == "enabled":
            self.take(f"start of {name} at boot", lambda: self.run("systemctl", "disable", name))
