"""Kubeconfig files: an admin's own merged with those of other clusters, each under its cluster's name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

Config = dict[str, Any]
EMPTY: Mapping[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}}


class KubeconfigError(ValueError):
    """A kubeconfig that cannot be used or written; the message says why. No file was changed."""


class _Loader(yaml.SafeLoader):
    """Leaves moments as the text that they are in the file, so that they are written as they were read."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def default_path() -> Path:
    """The file that kubectl writes to: the first of $KUBECONFIG, else ~/.kube/config."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0]).expanduser() if named else Path.home() / ".kube" / "config"


def parse(text: str, source: str) -> Config:
    """Read a kubeconfig; ``source`` names it in an error."""
    try:
        config = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{source} is not YAML: {error}") from error
    lists = ("clusters", "users", "contexts")
    if not isinstance(config, dict) or not all(isinstance(config.get(key) or [], list) for key in lists):
        raise KubeconfigError(f"{source} is not a kubeconfig")
    return config


def renamed(config: Config, name: str) -> Config:
    """What the current context leads to, alone: cluster and context under ``name``, the user as its administrator."""
    context = _entry(config, "contexts", str(config.get("current-context")))["context"]
    user = f"{name}-admin"
    return {
        **EMPTY,
        "clusters": [{**_entry(config, "clusters", context["cluster"]), "name": name}],
        "users": [{**_entry(config, "users", context["user"]), "name": user}],
        "contexts": [{"name": name, "context": {**context, "cluster": name, "user": user}}],
        "current-context": name,
    }


def merged(existing: Config, addition: Config, *, use: bool) -> Config:
    """``existing`` with the entries of ``addition`` in the place of those of the same name; the rest stays as it is."""
    whole = {**EMPTY, **existing}
    for key in ("clusters", "users", "contexts"):
        new = {entry["name"]: entry for entry in addition[key]}
        kept = [new.pop(entry.get("name"), entry) for entry in existing.get(key) or []]
        whole[key] = [*kept, *new.values()]
    if use:
        whole["current-context"] = addition["current-context"]
    return whole


def merge_into(path: Path, addition: Config, *, use: bool) -> None:
    """Merge into a file in one step, readable by its owner alone; a file that cannot be understood stays as it is."""
    target = path.resolve()  # a link stays a link
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(target):
            text = target.read_text(encoding="utf-8") if target.exists() else ""
            existing = parse(text, str(path)) if text.strip() else {}
            _replace(target, dump(merged(existing, addition, use=use)))
    except OSError as error:
        raise KubeconfigError(f"{path} cannot be written: {error.strerror}") from error


def dump(config: Config) -> str:
    """A kubeconfig as text."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def _entry(config: Config, key: str, name: str) -> Config:
    for entry in config.get(key) or []:
        if entry.get("name") == name:
            return dict(entry)
    raise KubeconfigError(f"the cluster's kubeconfig has no entry {name!r} among its {key}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock that kubectl takes too: a file beside the kubeconfig, made only where there is none."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise KubeconfigError(
            f"{path} is being changed by somebody else, says {lock}. If that is of a kubectl that was killed, remove it."
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
