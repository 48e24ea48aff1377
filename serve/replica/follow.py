"""Reloads the model when its registry alias moves: loads the new version, then swaps it in."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Literal, Protocol, TypeVar

from copylens.errors import CopyLensError
from copylens.records import ModelIdentity
from serve.ops.log import LOG, event
from serve.replica.messages import ModelStatus

Outcome = Literal["loaded", "failed"]
# Upper bound of the backoff after failed loads.
_LONGEST_WAIT_S = 600.0


class HasIdentity(Protocol):
    """A model that names its version."""

    @property
    def identity(self) -> ModelIdentity:
        """Name and version, as verdicts carry them."""
        ...


M = TypeVar("M", bound=HasIdentity)


class Follower(Generic[M]):
    """Holds the current model. Where loading another version fails, the current one stays."""

    def __init__(
        self,
        resolve: Callable[[], str],
        load: Callable[[str, M | None], M],
        warm: Callable[[M], Awaitable[object]],
        count: Callable[[Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Loads nothing yet.

        Args:
            resolve: the version that the alias names now; runs in a thread.
            load: (version, current model) -> new model; runs in a thread, beside the current one.
            warm: runs a first pass through the new model before it is swapped in.
            count: called with the outcome of each attempt.
        """
        self._resolve, self._load, self._warm = resolve, load, warm
        self._count, self._clock = count, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="follower")
        self._version: str | None = None
        self._outcome: Outcome | None = None
        self._tried: str | None = None
        self._reason: str | None = None
        self._at = clock()
        self._failures = 0
        self._not_before = clock()
        self.current: M | None = None

    def status(self) -> ModelStatus:
        """The current model, and the last attempt to load another version."""
        model = self.current.identity if self.current is not None else None
        ago = None if self._outcome is None else round(self._clock() - self._at, 1)
        return ModelStatus(model, self._outcome, self._tried, self._reason, ago)

    async def poll(self) -> None:
        """Reads the alias once, and loads the version that it names if it is another one."""
        loop = asyncio.get_running_loop()
        try:
            version = await loop.run_in_executor(self._thread, self._resolve)
        except Exception as error:
            # The registry is unreachable: no version was tried, so none has failed.
            self._log_once(_line(error), error)
            return
        if version == self._version:
            self._clear_failure()
        elif version != self._tried or self._clock() >= self._not_before:
            await self._load_version(version)

    async def run(self, every_s: float) -> None:
        """Polls until it is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.poll()

    async def _load_version(self, version: str) -> None:
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
                "version %s cannot be loaded: %s",
                version,
                _line(error),
                exc_info=_needs_traceback(error),
            )
            return
        # Running batches keep a reference to the previous model until they are done.
        self.current, self._version = model, version
        self._finish("loaded", None)
        event("reload", version=version, seconds=round(self._clock() - start, 2))

    def _finish(self, outcome: Outcome, reason: str | None) -> None:
        self._outcome, self._reason, self._at = outcome, reason, self._clock()
        self._count(outcome)

    def _clear_failure(self) -> None:
        """The alias names the current version, so an earlier failure no longer matters."""
        if self._reason is not None:
            self._outcome, self._tried, self._reason = "loaded", self._version, None

    def _log_once(self, reason: str, error: Exception) -> None:
        """Logs that the registry cannot be read, unless the last poll did so."""
        if reason != self._reason:
            LOG.error("the registry cannot be asked: %s", reason, exc_info=_needs_traceback(error))
        self._reason = reason


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, CopyLensError) and text else f"{type(error).__name__}: {text}"


def _needs_traceback(error: Exception) -> bool:
    """Whether the log needs a traceback: not for a CopyLensError, which is a user's mistake."""
    return not isinstance(error, CopyLensError)
