"""Builds what a cluster needs and is not in the mirror yet, and publishes it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path

from kubestead.mirror import builders, debian, golang, process
from kubestead.mirror.catalogue import Catalogue, load
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Component, Planner, Step
from kubestead.mirror.progress import Reporter, Silent
from kubestead.mirror.publish import Entry, Mirror, publish
from kubestead.mirror.store import lock, require_space

_MIB = 1024 * 1024
# Always used; recipes name what they need beyond.
_TOOLS = ("apt-utils", "gpg", "gpg-agent")
_WITH_GO = ("module", "c-program", "source", "manifest")
# Room for the published tree's own files and a margin below which a disk is as good as full.
_RESERVE = 300 * _MIB


def ensure(minor: str, components: Iterable[str] | None = None, progress: Reporter | None = None) -> None:
    """Makes sure that the mirror serves these components (the catalogue's default set) of a Kubernetes minor.

    Quick when all is there. Raises :class:`MirrorError`.
    """
    Build(load(), Mirror.default(), progress or Silent()).ensure(minor, components)


class Build:
    """One run of the builder."""

    def __init__(self, catalogue: Catalogue, mirror: Mirror, progress: Reporter) -> None:
        self._catalogue = catalogue
        self._mirror = mirror
        self._store = mirror.store
        self._progress = progress

    def ensure(self, minor: str, components: Iterable[str] | None = None) -> None:
        """Builds what is missing or damaged, then publishes."""
        planner = Planner(self._catalogue, minor, architecture=debian.architecture(), suite=debian.suite())
        wanted = planner.components(components)
        server = planner.server()
        if self._complete(wanted, server):
            return
        debian.require_debian()
        with lock(self._mirror.lock, self._progress.note), process.disk_full_told():
            self._store.sweep()
            if not self._complete(wanted, server):
                published = self._published()
                build = [c for c in wanted if not self._served(published.get((c.minor, c.name)), c)]
                self.make([*(component.step for component in build), server])
                self._publish(build, server)

    def _complete(self, wanted: Iterable[Component], server: Step) -> bool:
        published = self._published()
        if not all(self._served(published.get((component.minor, component.name)), component) for component in wanted):
            return False
        programs = self._mirror.server()
        if programs and (programs != server.key or self._damaged(programs)):
            return False
        gone = self._mirror.missing_file()
        if gone:
            self._progress.note(f"The published file {gone} is missing or truncated; publishing again.")
        return gone is None

    def _published(self) -> dict[tuple[str, str], Entry]:
        return {(entry.minor, entry.name): entry for entry in self._mirror.entries()}

    def _served(self, entry: Entry | None, component: Component) -> bool:
        """Whether a published entry is this component, as it would be built now or as upstream has it, and undamaged."""
        if entry is None or self._damaged(entry.key):
            return False
        same = entry.reference == component.reference
        if entry.origin == "built":
            return same and entry.key == component.step.key
        recipe = self._catalogue.artefacts.packages.get(component.name)
        return same or (recipe is not None and recipe.companion)

    def _damaged(self, key: str) -> bool:
        damage = self._store.damage(key)
        if damage and self._store.path(key).exists():
            self._progress.note(f"The cached artefact {key} is damaged: {damage}. It will be made again.")
        return bool(damage)

    def make(self, steps: Iterable[Step]) -> None:
        """Makes the artefacts of these steps, where they are missing or damaged. For the holder of the lock."""
        todo: dict[str, Step] = {}
        self._find_missing(steps, todo, set())
        if not todo:
            return
        go = any(step.kind in _WITH_GO for step in todo.values())
        self._prepare(todo.values(), go=go)
        self._require_space(todo.values(), self._go_caches() if go else ())
        self._progress.plan({step.title: step.seconds for step in todo.values()})
        shop = builders.Workshop(self._store, self._mirror.logs, lambda: self.go)
        Executor(todo, lambda step: self._build(step, shop), self._progress).run()

    def _go_caches(self) -> tuple[Path, ...]:
        return self.go.caches()

    def _require_space(self, steps: Iterable[Step], caches: Iterable[Path]) -> None:
        """A third of what a module takes is its programs, the rest is Go's two caches."""
        shares = sum(step.disk for step in steps) * _MIB // 3
        require_space({self._mirror.root: _RESERVE + shares} | dict.fromkeys(caches, shares))

    def _find_missing(self, steps: Iterable[Step], todo: dict[str, Step], sound: set[str]) -> None:
        """Adds the steps to do, inputs first. What a finished artefact was made from is not looked at."""
        for step in steps:
            if step.key in todo or step.key in sound:
                continue
            damage = self._store.damage(step.key, thorough=True)
            if damage is None:
                sound.add(step.key)
                continue
            if self._store.path(step.key).exists():
                self._progress.note(f"The cached artefact {step.key} is damaged: {damage}. It will be made again.")
                self._store.remove(step.key)
            self._find_missing(step.inputs.values(), todo, sound)
            todo[step.key] = step

    def _prepare(self, steps: Iterable[Step], *, go: bool) -> None:
        log = self._mirror.logs / "prepare.log"
        needs = {need for step in steps for need in step.needs}
        if go:
            needs.add("ca-certificates")
        debian.install((*_TOOLS, *needs), log)
        debian.refresh_lists(log)
        if go:
            self._progress.note(f"Go {self.go.version}: {self.go.command}")

    @cached_property
    def go(self) -> golang.Go:
        """The Go that builds."""
        return golang.find(self._catalogue.artefacts.toolchain, self._mirror.root / "tools")

    def _build(self, step: Step, shop: builders.Workshop) -> None:
        with self._store.new(step.key) as target:
            work = target.with_name(f"{target.name}.work")
            work.mkdir()
            try:
                builders.make(step, shop, work, target)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def _publish(self, built: Iterable[Component], server: Step) -> None:
        entries = self._published()
        for component in built:
            made = Entry(
                component.minor, component.name, component.kind, component.reference, component.step.key, "built"
            )
            entries[component.minor, component.name] = made
        kept = []
        for entry in entries.values():
            damage = self._store.damage(entry.key)
            if damage:
                self._progress.note(
                    f"{entry.name} for {entry.minor} is no longer served: its artefact is damaged ({damage})."
                )
            else:
                kept.append(entry)
        publish(self._mirror, self._catalogue, kept, server.key)


class Executor:
    """Runs steps as soon as their inputs are there, at once only as far as cores and memory allow."""

    def __init__(self, steps: Mapping[str, Step], make: Callable[[Step], None], progress: Reporter) -> None:
        self._waiting = dict(steps)
        self._make = make
        self._progress = progress
        self._cores = max(2, os.cpu_count() or 1)
        self._memory = available_memory()
        self._urgency = urgency(steps)

    def run(self) -> None:
        """Returns when all is done. On the first failure the rest is stopped and the failure raised."""
        running: dict[Future[None], Step] = {}
        with ThreadPoolExecutor(self._cores) as pool:
            try:
                while self._waiting or running:
                    for step in self._startable(list(running.values())):
                        del self._waiting[step.key]
                        running[pool.submit(self._timed, step)] = step
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                        del running[future]
            except BaseException:
                self._waiting.clear()
                process.stop_all()
                raise

    def _startable(self, running: list[Step]) -> list[Step]:
        chosen: list[Step] = []
        unfinished = self._waiting.keys() | {step.key for step in running}
        for step in sorted(self._waiting.values(), key=lambda s: -self._urgency[s.key]):
            busy = [*running, *chosen]
            fits = sum(s.memory for s in busy) + step.memory <= self._memory and len(busy) < self._cores
            if (fits or not busy) and not any(i.key in unfinished for i in step.inputs.values()):
                chosen.append(step)
        return chosen

    def _timed(self, step: Step) -> None:
        self._progress.started(step.title)
        begin = time.monotonic()
        self._make(step)
        self._progress.finished(step.title, time.monotonic() - begin)


def urgency(steps: Mapping[str, Step]) -> dict[str, int]:
    """For each step the seconds from its start to the end of the longest chain that begins with it."""
    users: dict[str, list[Step]] = {key: [] for key in steps}
    for step in steps.values():
        for used in step.inputs.values():
            if used.key in users:
                users[used.key].append(step)
    result: dict[str, int] = {}
    for key, step in reversed(list(steps.items())):
        result[key] = step.seconds + max((result[user.key] for user in users[key]), default=0)
    return result


def available_memory() -> int:
    """MiB that can be used now without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) // 1024
    raise MirrorError("/proc/meminfo has no line MemAvailable.")
