# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the tools that the modules speak to, and turn what they answer into data or into one clear error."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class KubesteadError(Exception):
    """What a module tells its user when it cannot go on; the details become further keys of the result."""

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Outcome(t.NamedTuple):
    """What came back from a command."""

    args: list[str]
    rc: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The command as one would type it."""
        return " ".join(shlex.quote(part) for part in self.args)

    def error(self, advice: str = "") -> KubesteadError:
        """The error that quotes this command and what it answered, followed by the advice."""
        return self.failure(f"failed with exit code {self.rc}", advice)

    def failure(self, how: str, advice: str = "") -> KubesteadError:
        """The error that says how this command failed, quotes what it answered, and is followed by the advice."""
        answer = last_lines(self.stderr or self.stdout, 12) or "nothing was printed"
        message = "\n".join(part for part in (f"`{self.line}` {how}: {answer}", advice) if part)
        return KubesteadError(message, cmd=self.args, rc=self.rc, stdout=self.stdout, stderr=self.stderr)


def last_lines(text: str, count: int) -> str:
    """The last lines of a text that are not blank."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


def json_documents(text: str) -> list[t.Any]:
    """All JSON values of a text that holds one after another, as kubectl and kubeadm print them; a List gives its items."""
    decoder = json.JSONDecoder()
    documents: list[t.Any] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position >= len(text):
            return documents
        document, position = decoder.raw_decode(text, position)
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
            documents.extend(document["items"] or [])
        else:
            documents.append(document)


class Tool:
    """One command-line tool on the node."""

    name = ""
    package = ""

    def __init__(self, module: AnsibleModule, environment: t.Optional[dict[str, str]] = None) -> None:
        self.module = module
        self.environment = {"LC_ALL": "C", **(environment or {})}
        self._path: t.Optional[str] = None

    @property
    def path(self) -> str:
        """Where the tool lies; an error that names its package where it lies nowhere."""
        if self._path is None:
            self._path = self.module.get_bin_path(self.name, opt_dirs=["/usr/local/bin", "/opt/bin"])
        if self._path is None:
            raise KubesteadError(
                f"{self.name} is not on this node (looked in PATH, /usr/local/bin and /opt/bin). "
                f"Install the package {self.package or self.name}: the role kubestead.cluster.kube_packages does."
            )
        return self._path

    @property
    def present(self) -> bool:
        """Whether the tool is installed."""
        try:
            return bool(self.path)
        except KubesteadError:
            return False

    def run(
        self,
        *args: str,
        data: t.Optional[str] = None,
        check: bool = True,
        advice: str = "",
        timeout: t.Optional[float] = None,
        on_line: t.Optional[t.Callable[[str, float], None]] = None,
        pass_fds: t.Sequence[int] = (),
    ) -> Outcome:
        """Run the tool with these arguments.

        data goes to its standard input. timeout is in seconds; what runs longer is killed and that is an error.
        on_line is told each line of standard output, and the monotonic time at which it was written.
        """
        watch = _Watch(timeout, on_line)
        command = [self.path, *args]
        rc, stdout, stderr = self.module.run_command(
            command,
            data=data,
            environ_update=self.environment,
            before_communicate_callback=watch.start if watch.wanted else None,
            pass_fds=list(pass_fds) or None,
            errors="surrogate_then_replace",
            expand_user_and_vars=False,
        )
        watch.stop()
        outcome = Outcome([os.path.basename(self.path), *args], rc, stdout, stderr)
        if watch.expired:
            raise outcome.failure(f"did not finish within {timeout:g} s and was stopped. Its last words", advice)
        if check and rc != 0:
            raise outcome.error(advice)
        return outcome

    def run_json(self, *args: str, data: t.Optional[str] = None, advice: str = "") -> list[t.Any]:
        """Run the tool and read the JSON that it prints, a list of documents."""
        outcome = self.run(*args, data=data, advice=advice)
        try:
            return json_documents(outcome.stdout)
        except ValueError as error:
            raise KubesteadError(
                f"`{outcome.line}` printed something that is not JSON ({error}): {last_lines(outcome.stdout, 5)}",
                cmd=outcome.args,
                rc=outcome.rc,
                stdout=outcome.stdout,
                stderr=outcome.stderr,
            ) from error


class _Watch:
    """Watches a command while run_command collects its output: a time limit, and the moment of each line."""

    def __init__(self, timeout: t.Optional[float], on_line: t.Optional[t.Callable[[str, float], None]]) -> None:
        self.timeout = timeout
        self.on_line = on_line
        self.expired = False
        self._timer: t.Optional[threading.Timer] = None
        self._reader: t.Optional[threading.Thread] = None

    @property
    def wanted(self) -> bool:
        return bool(self.timeout or self.on_line)

    def start(self, process: subprocess.Popen[bytes]) -> None:
        if self.timeout:
            self._timer = threading.Timer(self.timeout, self._expire, (process,))
            self._timer.daemon = True
            self._timer.start()
        if self.on_line and process.stdout:
            # run_command shows output only once the command has ended, so its pipe is swapped for one that we feed.
            read_end, write_end = os.pipe()
            source, process.stdout = process.stdout, os.fdopen(read_end, "rb")
            self._reader = threading.Thread(target=_forward, args=(source, write_end, self.on_line), daemon=True)
            self._reader.start()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._reader:
            self._reader.join(5)

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self.expired = True
        process.kill()


def _forward(source: t.IO[bytes], write_end: int, on_line: t.Callable[[str, float], None]) -> None:
    with source, os.fdopen(write_end, "wb", buffering=0) as target:
        for line in iter(source.readline, b""):
            on_line(line.decode("utf-8", "replace").rstrip("\n"), time.monotonic())
            target.write(line)
