"""Follows an alias of the registry: the new version is loaded beside the old, then takes over."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Literal, Protocol, TypeVar

from copylens.errors import CopyLensError
from copylens.records import ModelIdentity
from serve.ops.log import LOG, event
from serve.replica.messages import Status

Outcome = Literal["loaded", "failed"]
# A version that cannot be loaded costs a load at each try.
_LONGEST_WAIT_S = 600.0


class HasIdentity(Protocol):
    """What is followed says which version it is."""

    @property
    def identity(self) -> ModelIdentity:
        """Name and version, as verdicts carry them."""
        ...


M = TypeVar("M", bound=HasIdentity)


class Follower(Generic[M]):
    """The model that answers now. No failure here ends the replica: the model before stays."""

    def __init__(
        self,
        resolve: Callable[[], str],
        load: Callable[[str, M | None], M],
        warm: Callable[[M], Awaitable[object]],
        counted: Callable[[Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Loads nothing yet.

        Args:
            resolve: the version that should answer; a cheap question, asked in a thread.
            load: version, the model before -> the model; in a thread, beside the one that answers.
            warm: makes the model ready to answer at full speed.
            counted: told of each version that was tried.
        """
        self._resolve, self._load, self._warm = resolve, load, warm
        self._counted, self._clock = counted, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="follower")
        self._version: str | None = None
        self._outcome: Outcome | None = None
        self._tried: str | None = None
        self._reason: str | None = None
        self._at = clock()
        self._failures = 0
        self._not_before = clock()
        self.current: M | None = None

    def status(self) -> Status:
        """Which model answers, and how the last change went."""
        model = self.current.identity if self.current is not None else None
        ago = None if self._outcome is None else round(self._clock() - self._at, 1)
        return Status(model, self._outcome, self._tried, self._reason, ago)

    async def poll(self) -> None:
        """Looks at the alias once, and changes the model if it names another version."""
        loop = asyncio.get_running_loop()
        try:
            version = await loop.run_in_executor(self._thread, self._resolve)
        except Exception as error:
            # The registry is out of reach: nothing was tried, so no version failed.
            self._tell(_line(error), error)
            return
        if version == self._version:
            self._settle()
        elif version != self._tried or self._clock() >= self._not_before:
            await self._change(version)

    async def run(self, every_s: float) -> None:
        """Polls for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.poll()

    async def _change(self, version: str) -> None:
        loop = asyncio.get_running_loop()
        self._failures = self._failures if version == self._tried else 0
        self._tried = version
        start = self._clock()
        try:
            model = await loop.run_in_executor(self._thread, self._load, version, self.current)
            await self._warm(model)
        except Exception as error:
            self._failures += 1
            wait = min(_LONGEST_WAIT_S, 5.0 * 2**self._failures)
            self._not_before = self._clock() + wait
            self._finish("failed", _line(error))
            LOG.error(
                "version %s cannot be loaded: %s", version, _line(error), exc_info=_ours(error)
            )
            return
        # Batches in work hold the model before; it goes when the last of them is done.
        self.current, self._version = model, version
        self._finish("loaded", None)
        event("reload", version=version, seconds=round(self._clock() - start, 2))

    def _finish(self, outcome: Outcome, reason: str | None) -> None:
        self._outcome, self._reason, self._at = outcome, reason, self._clock()
        self._counted(outcome)

    def _settle(self) -> None:
        """The alias names what answers: earlier trouble is over, even if by a step back."""
        if self._reason is not None:
            self._outcome, self._tried, self._reason = "loaded", self._version, None

    def _tell(self, reason: str, error: Exception) -> None:
        """Once, not at every poll."""
        if reason != self._reason:
            LOG.error("the registry cannot be asked: %s", reason, exc_info=_ours(error))
        self._reason = reason


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, CopyLensError) and text else f"{type(error).__name__}: {text}"


def _ours(error: Exception) -> bool:
    """A user's mistake is one line; anything else is ours and needs its traceback."""
    return not isinstance(error, CopyLensError)
