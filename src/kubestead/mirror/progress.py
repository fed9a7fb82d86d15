"""How builds are told about: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    """What a build tells while it goes on. Calls come from several threads."""

    def plan(self, work: Mapping[str, int]) -> None:
        """What will be made, and the seconds each took once on two cores; 0 for what will be fetched."""

    def started(self, title: str) -> None:
        """A step begins."""

    def finished(self, title: str, seconds: float) -> None:
        """A step is done."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class Silent:
    """Says nothing."""

    def plan(self, work: Mapping[str, int]) -> None:
        """Says nothing."""

    def started(self, title: str) -> None:
        """Says nothing."""

    def finished(self, title: str, seconds: float) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""


class Plain:
    """A line at the start and the end of each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._guard = threading.Lock()
        self._total = self._done = 0

    def plan(self, work: Mapping[str, int]) -> None:
        """One line: how much there is to do."""
        self._total, self._done = len(work), 0
        seconds = sum(work.values())
        amount = f" to make, about {max(1, round(seconds / 60))} min of work for two cores" if seconds else " to fetch"
        self._say(f"{len(work)} artefact{'s' if len(work) > 1 else ''}{amount}")

    def started(self, title: str) -> None:
        """One line."""
        self._say(f"{title}: started")

    def finished(self, title: str, seconds: float) -> None:
        """One line, with the seconds it took."""
        with self._guard:
            self._done += 1
        self._say(f"{title}: done in {seconds:.0f} s ({self._done} of {self._total})")

    def note(self, text: str) -> None:
        """One line."""
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class Bar:
    """One bar, and the names of what is being made."""

    def __init__(self, console: Console) -> None:
        self._guard = threading.Lock()
        self._running: list[str] = []
        self._weights: Mapping[str, int] = {}
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def plan(self, work: Mapping[str, int]) -> None:
        """Sets the bar's length."""
        self._weights = {title: max(1, seconds) for title, seconds in work.items()}
        self._progress.update(self._task, total=sum(self._weights.values()))

    def started(self, title: str) -> None:
        """Shows the name."""
        with self._guard:
            self._running.append(title)
        self._show()

    def finished(self, title: str, seconds: float) -> None:
        """Moves the bar on; what took long also leaves a line."""
        with self._guard:
            self._running.remove(title)
        self._progress.advance(self._task, self._weights.get(title, 1))
        if seconds >= 1:
            self._progress.console.print(f"{title} in {seconds:.0f} s", highlight=False, markup=False)
        self._show()

    def note(self, text: str) -> None:
        """Prints a line above the bar."""
        self._progress.console.print(text, highlight=False, markup=False)

    def _show(self) -> None:
        self._progress.update(self._task, description=", ".join(self._running))
