"""Batched work in which a bad item is set aside with its reason and does not fail the batch."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from copylens.errors import TextError, one_line

_T = TypeVar("_T")
_R = TypeVar("_R")


def results_or_reasons(
    items: Sequence[_T], work: Callable[[Sequence[_T]], list[_R]]
) -> list[_R | str]:
    """Results in order; for an item that cannot be worked on, the reason as one line.

    All items go at once; only where that fails they go one by one.

    Args:
        work: gives one result per item; raises TextError or RuntimeError for a bad one.

    Raises:
        RuntimeError: every single item raises it, so the fault is not the items'.
    """
    try:
        return [*work(items)]
    except (TextError, RuntimeError):
        results: list[_R | str] = []
        faults: list[Exception] = []
        for item in items:
            try:
                results += work([item])
            except (TextError, RuntimeError) as error:
                results.append(reason(error))
                faults.append(error)
        if len(faults) == len(items) and not any(isinstance(f, TextError) for f in faults):
            raise
        return results


def reason(error: Exception) -> str:
    """An error as one short line, without the number of the item."""
    message = one_line(error).removeprefix("text 0 ")
    return message[:200] or type(error).__name__
