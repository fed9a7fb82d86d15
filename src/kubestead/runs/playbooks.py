"""Where the collection is, and how its playbooks are called."""

from __future__ import annotations

import difflib
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

import kubestead
from kubestead.runs.progress import PHASES

COLLECTION = "kubestead.cluster"
READ_ONLY = tuple(
    f"{COLLECTION}.{name}" for name in ("certificates", "etcd_status", "kubeconfig", "status", "validate")
)  # they change nothing on any host
_TAGS_OF_ANSIBLE = ("all", "always", "never", "tagged", "untagged")


class PlaybookError(ValueError):
    """A playbook or a phase that there is not; the message says what there is."""


def collection_root() -> Path:
    """Find the collection: the checkout that this package runs from, or what the wheel installed beside it."""
    package = Path(kubestead.__file__).resolve().parent
    checkout = package.parent.parent
    if (checkout / "galaxy.yml").is_file():
        return checkout
    installed = package.parent / "ansible_collections" / "kubestead" / "cluster"
    if (installed / "galaxy.yml").is_file():
        return installed
    raise PlaybookError(
        f"the collection {COLLECTION} is neither in {checkout} nor in {installed}: install kubestead again"
    )


def settings_file() -> Path:
    """Find the ansible.cfg that playbooks run with: the checkout's, or its copy in the wheel."""
    root = collection_root()
    copy = Path(kubestead.__file__).resolve().parent / "ansible.cfg"
    return root / "ansible.cfg" if (root / "ansible.cfg").is_file() else copy


def resolve(playbook: str) -> str:
    """Turn ``site`` into ``kubestead.cluster.site``; a path of a user's own playbook into an absolute one."""
    if playbook.endswith((".yml", ".yaml")):
        path = Path(playbook).resolve()
        if not path.is_file():
            raise PlaybookError(f"there is no playbook {path}")
        return str(path)
    name = playbook.removeprefix(f"{COLLECTION}.")
    known = sorted(path.stem for path in (collection_root() / "playbooks").glob("*.yml"))
    if name not in known:
        near = difflib.get_close_matches(name.replace("-", "_"), known, 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise PlaybookError(
            f"{COLLECTION} has no playbook {name!r}{hint} It has {', '.join(known)}. "
            "One of your own is named by its path, such as ./mine.yml."
        )
    return f"{COLLECTION}.{name}"


def questions(playbook: str) -> dict[str, str]:
    """Read what a playbook asks for before it begins: the prompt for each variable."""
    prompts = [prompt for play in _plays(_file(resolve(playbook))) for prompt in play.get("vars_prompt", [])]
    return {prompt["name"]: prompt.get("prompt", prompt["name"]) for prompt in prompts}


def _file(target: str) -> Path:
    """The file of a playbook that is called as :func:`resolve` names it."""
    name = target.removeprefix(f"{COLLECTION}.")
    return Path(target) if target == name else collection_root() / "playbooks" / f"{name}.yml"


def _plays(path: Path) -> Iterator[dict[str, Any]]:
    """The plays of a playbook and, in their places, those of the playbooks that it imports."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (OSError, yaml.YAMLError):
        return  # Ansible explains it better
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield entry
            imported = str(entry.get("ansible.builtin.import_playbook", entry.get("import_playbook", "")))
            if imported.endswith((".yml", ".yaml")):
                yield from _plays(path.parent / imported)
            elif imported.startswith(f"{COLLECTION}."):
                yield from _plays(_file(imported))


def phases_before(phase: str) -> list[str]:
    """List the phases to leave out in order to begin at the given one."""
    if phase not in PHASES:
        raise PlaybookError(f"there is no phase {phase!r}; the phases are {', '.join(PHASES)}")
    return list(PHASES[: PHASES.index(phase)])


def check_tags(playbook: str, tags: Sequence[str]) -> None:
    """Refuse a tag that nothing of a playbook (as :func:`resolve` names it) carries: Ansible would do nothing, and call that a success.

    A user's own playbook may have its tags anywhere, and is not looked through.
    """
    if playbook == playbook.removeprefix(f"{COLLECTION}."):
        return
    known = list(dict.fromkeys(tag for play in _plays(_file(playbook)) for tag in _words(play.get("tags"))))
    phases = [tag for tag in PHASES if tag in known]
    for tag in (one.strip() for word in tags for one in word.split(",")):
        if tag and tag not in {*known, *_TAGS_OF_ANSIBLE}:
            near = difflib.get_close_matches(tag, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            has = f"The phases are {', '.join(phases)}." if phases else f"{playbook} has no tags."
            raise PlaybookError(f"there is no tag {tag!r}{hint} {has} Nothing was begun.")


def planned(playbook: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """The phases that a playbook (as :func:`resolve` names it) is to go through, less those left out by ``--skip-tags``.

    None are known of a user's own playbook, and where ``--tags`` choose.
    """
    name = playbook.removeprefix(f"{COLLECTION}.")
    if playbook == name or "--tags" in options:
        return ()
    tags = {tag for play in _plays(_file(playbook)) for tag in _words(play.get("tags"))}
    skipped = {tag for option, value in pairwise(options) if option == "--skip-tags" for tag in value.split(",")}
    return tuple(phase for phase in PHASES if phase in tags - skipped)


def _words(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def executables() -> Path:
    """Find the folder with Ansible's programs: this environment's, or where a system's Python has them, elsewhere than itself."""
    beside = Path(sys.executable).parent
    known = [beside, Path(sysconfig.get_path("scripts")), Path(shutil.which("ansible-playbook") or beside).parent]
    return next((folder for folder in known if (folder / "ansible-playbook").is_file()), beside)


def command_line(playbook: str, options: Sequence[str]) -> str:
    """Write the line that does the same without us, to be typed where the user is now."""
    program = executables() / "ansible-playbook"
    if shutil.which("ansible-playbook") == str(program):
        name = "ansible-playbook"
    else:
        name = str(program.relative_to(Path.cwd())) if program.is_relative_to(Path.cwd()) else str(program)
    return shlex.join([name, playbook, *options])
