"""How a verb ends when it is told to: one line on stderr and the exit code that shells expect."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

SIGINT_CODE = 128 + signal.SIGINT
SIGTERM_CODE = 128 + signal.SIGTERM


class InterruptibleGroup(TyperGroup):
    """The group of verbs; Ctrl-C in one of them says so and exits with 130."""

    # Typer's own base class names the context's type by a private module.
    def invoke(self, ctx: Any) -> Any:
        """Runs the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped by Ctrl-C", err=True)
            raise typer.Exit(SIGINT_CODE) from None


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """While open, SIGTERM says so and exits with 143, running the cleanup of what is open."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    # A second one must not break off the cleanup that the first one began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    typer.echo("stopped by SIGTERM", err=True)
    raise SystemExit(SIGTERM_CODE)
