"""How a run looks while it goes: plain lines for logs and pipes, a live view in a terminal."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kubestead.runs.progress import HostStats, Notice, Progress

MAX_ROWS = 20
MAX_WIDTH = 110
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COUNTS = ("ok", "changed", "failed", "unreachable", "skipped")


class Renderer(Protocol):
    """Shows notices as they come, between entering and leaving its context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, notice: Notice) -> None:
        """Show one notice."""


def choose_renderer(console: Console, progress: Progress, clock: Callable[[], float] = time.time) -> Renderer:
    """Give the live view in a terminal, whose ``clock`` is the time of the events.

    Plain lines in a pipe, a log, a dumb terminal, under a CI system, and where ``KUBESTEAD_PLAIN`` is set, as for a screen reader.
    """
    plain = os.environ.get("CI") or os.environ.get("KUBESTEAD_PLAIN")
    live = console.is_terminal and not console.is_dumb_terminal and not plain
    return LiveRenderer(console, progress, clock) if live else PlainRenderer(console, progress)


def seconds(value: float) -> str:
    """Seconds for people: ``3.4 s``, ``2 min 05 s``."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def harmless(text: str) -> str:
    """The text without control characters, which would move the cursor or colour what follows; lines stay lines."""
    return _CONTROL.sub("", text)


class PlainRenderer:
    """One line for each phase, change and failure, and at a phase's end one for each host in it; never a control character."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._before: dict[str, HostStats] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, notice: Notice) -> None:
        """Print the notice."""
        if notice.kind == "phase_end":
            changed = f", {notice.changed} changed" * bool(notice.changed)
            line = f"phase {notice.text}: {seconds(notice.seconds)}{changed}"
        else:
            line = _line(notice)
        self._print(line)
        if notice.kind == "phase_end":
            self._print_hosts()

    def _print_hosts(self) -> None:
        """What each host did since the last phase ended."""
        for name, host in self._progress.hosts.items():
            before = self._before.get(name, HostStats())
            done = [(what, getattr(host, what) - getattr(before, what)) for what in COUNTS]
            if any(count for _, count in done):
                self._print(f"  {name}: {', '.join(f'{count} {what}' for what, count in done if count)}")
            self._before[name] = replace(host)

    def _print(self, line: str) -> None:
        self._console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)


class LiveRenderer:
    """The phases with their times and those to come, and a row for each host, redrawn in place; failures and notes stay above."""

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
            self._console.print(Text(harmless(_line(notice)), style=style))

    def view(self) -> RenderableType:
        """The part that is redrawn: the running phase and what each host does."""
        phase = self._progress.phase or ("ending" if self._progress.phases() else "starting")
        running = self._clock() - self._progress.now + self._progress.elapsed if self._progress.phase else 0.0
        header = Text.assemble(("▸ ", "cyan"), (f"{phase:<12} ", "bold"), (f"{seconds(running):>12}", "dim"))
        width = min(MAX_WIDTH, self._console.width)
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", width=width)
        table.add_column("  host", no_wrap=True, overflow="ellipsis", max_width=28)
        table.add_column("task", ratio=1, no_wrap=True, overflow="ellipsis")
        for column in ("ok", "changed", "failed"):
            table.add_column(column, justify="right", no_wrap=True)
        hosts = list(self._progress.hosts.items())
        # With many hosts the busy ones are worth their rows.
        rows = min(MAX_ROWS, max(1, self._console.height - 5))
        shown = sorted(hosts, key=lambda entry: not entry[1].task)[:rows] if len(hosts) > rows else hosts
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
        if self._progress.to_come:
            names = ", ".join(self._progress.to_come)
            rest.append(Text(f"  then {names}", style="dim", no_wrap=True, overflow="ellipsis"))
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
