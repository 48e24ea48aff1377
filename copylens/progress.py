"""Progress of a stage: a bar on a terminal, a line every ten seconds in a job's log."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_SECONDS = 10.0


class Meter(Protocol):
    """Shows how far a stage is."""

    def __call__(self, count: int) -> None:
        """So many items more are done."""

    def expect(self, total: int, pace: str = "", seconds: float = 0.0) -> None:
        """Sets how many items there are in all, where that shows only on the way.

        Args:
            pace, seconds: what has been measured first, and how long all will take; told once.
        """


class Silent:
    """A meter that shows nothing."""

    def __call__(self, count: int) -> None:
        """See `Meter`."""

    def expect(self, total: int, pace: str = "", seconds: float = 0.0) -> None:
        """See `Meter`."""


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Meter]:
    """Yields a meter to call with the number of items done since the last call.

    Rate and time left go to stderr: as a bar where that is a terminal, otherwise as a line every
    ten seconds, so that short stages log nothing.
    """
    if not sys.stderr.isatty():
        yield LogLines(title, total, unit, sys.stderr)
        return
    columns = (
        TextColumn(f"{title:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(bar, title, total)


@contextmanager
def native_stderr_closed() -> Iterator[None]:
    """Redirects file descriptor 2: Ray's native code prints its log level there, past Python."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class _Bar:
    """A meter on a terminal."""

    def __init__(self, bar: Progress, title: str, total: int):
        self._bar, self._title = bar, title
        self._task = bar.add_task(title, total=total or None)

    def __call__(self, count: int) -> None:
        self._bar.advance(self._task, count)

    def expect(self, total: int, pace: str = "", seconds: float = 0.0) -> None:
        self._bar.update(self._task, total=total)
        if pace:
            self._bar.console.print(f"{self._title}: {pace}: about {duration(seconds)}")


class LogLines:
    """Counts items and writes lines with the number done, the rate, and the time left.

    The rate is that since the first items: before them workers start and load what they need.
    """

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._title, self._total, self._unit, self._out, self._clock = (
            title,
            total,
            unit,
            out,
            clock,
        )
        self._done = self._first = 0
        self._start = self._last = clock()

    def __call__(self, count: int) -> None:
        """Adds items; writes a line where the last one is ten seconds old."""
        now = self._clock()
        if not self._done:
            self._start, self._first = now, count
        self._done += count
        # Of the first items alone there is no rate.
        if self._done == self._first or now - self._last < _LINE_SECONDS:
            return
        self._last = now
        since = self._done - self._first, now - self._start
        rate = since[0] / since[1] if since[1] else 0.0
        left = max(0, self._total - self._done) / rate if rate else float("inf")
        self._out.write(
            f"{self._title}: {self._done:,} of {self._total:,} {self._unit}, "
            f"{rate:,.1f} a second, {duration(left)} left\n"
        )
        self._out.flush()

    def expect(self, total: int, pace: str = "", seconds: float = 0.0) -> None:
        """See `Meter.expect`."""
        self._total = total
        if pace:
            self._out.write(f"{self._title}: {pace}: about {duration(seconds)}\n")
            self._out.flush()


def duration(seconds: float) -> str:
    """A time span for people: `48 s`, `12 min`, `5.2 h`, `3.1 days`."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days" if seconds < float("inf") else "unknown"


class _Rate(ProgressColumn):
    """Items a second, once the rate is known."""

    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(self._unit if speed is None else f"{self._unit}, {speed:,.1f}/s")
