"""How a run looks while it goes: plain lines for logs and pipes, a live view in a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kubestead.runs.progress import Notice, Progress

MAX_ROWS = 20


class Renderer(Protocol):
    """Shows notices as they come, between entering and leaving its context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, notice: Notice) -> None:
        """Show one notice."""


def choose_renderer(console: Console, progress: Progress) -> Renderer:
    """Give the live view in a terminal; plain lines in a pipe, a log, a dumb terminal and under a CI system."""
    live = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
    return LiveRenderer(console, progress) if live else PlainRenderer(console, progress)


def seconds(value: float) -> str:
    """Seconds for people: ``3.4 s``, ``2 min 05 s``."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


class PlainRenderer:
    """One line for each phase, change and failure; never a control character."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, notice: Notice) -> None:
        """Print the notice."""
        if notice.kind == "phase_end":
            last = self._progress.phases()[-1]
            line = f"phase {notice.text}: {seconds(notice.seconds)}" + (
                f", {last.changed} changed" * bool(last.changed)
            )
        else:
            line = _line(notice)
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveRenderer:
    """The phases with their times, and a row for each host, redrawn in place; failures and notes stay above."""

    def __init__(self, console: Console, progress: Progress, clock: Callable[[], float] = time.time) -> None:
        self._console = console
        self._progress = progress
        self._clock = clock
        self._live = Live(console=console, get_renderable=self.view, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, notice: Notice) -> None:
        """Print what is to stay; what changes by the second is in the view."""
        if notice.kind == "phase_end":
            self._console.print(f"[green]✓[/] {escape(notice.text):<12} [dim]{seconds(notice.seconds):>12}[/]")
        elif notice.kind in ("failed", "warning", "note"):
            style = {"failed": "red", "warning": "yellow"}.get(notice.kind, "")
            self._console.print(Text(_line(notice), style=style))

    def view(self) -> RenderableType:
        """The part that is redrawn: the running phase and what each host does."""
        phase = self._progress.phase or ("ending" if self._progress.phases() else "starting")
        running = self._clock() - self._progress.now + self._progress.elapsed if self._progress.phase else 0.0
        header = Text.assemble(("▸ ", "cyan"), (f"{phase:<12} ", "bold"), (f"{seconds(running):>12}", "dim"))
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
        table.add_column("  host", no_wrap=True)
        table.add_column("task", ratio=1, no_wrap=True, overflow="ellipsis", min_width=30)
        for column in ("ok", "changed", "failed"):
            table.add_column(column, justify="right")
        hosts = list(self._progress.hosts.items())
        # With many hosts the busy ones are worth their rows.
        shown = sorted(hosts, key=lambda entry: not entry[1].task)[:MAX_ROWS] if len(hosts) > MAX_ROWS else hosts
        for name, host in shown:
            bad = host.failed + host.unreachable
            table.add_row(
                f"  {escape(name)}",
                escape(host.task.split(" : ")[-1]),
                str(host.ok),
                str(host.changed),
                Text(str(bad), style="red" if bad else ""),
            )
        rest = [Text(f"  and {len(hosts) - len(shown)} more hosts", style="dim")] if len(hosts) > len(shown) else []
        return Group(header, table, *rest)


def _line(notice: Notice) -> str:
    match notice.kind:
        case "phase":
            return f"phase {notice.text}"
        case "changed":
            return f"  {notice.host}: changed: {notice.task}"
        case "failed":
            return f"  {notice.host}: failed: {notice.task}: {notice.text.splitlines()[0]}"
        case "note":
            return "\n".join(f"  {notice.host}: {line}" for line in notice.text.splitlines())
        case _:
            return f"  {notice.text}"
