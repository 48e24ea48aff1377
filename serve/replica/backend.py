"""Calls of the Scorer deployment: retries on other replicas, deadlines, errors as RequestError."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle

from copylens.records import Verdict
from serve.http.admission import AdmissionControl
from serve.http.errors import RequestError, internal_error
from serve.ops.log import LOG
from serve.replica.messages import (
    FailedText,
    ModelStatus,
    NotReady,
    Overloaded,
    RegisteredModel,
    ScoreResponse,
)

# Retry-After where no replica is ready: a new one loads an LM first.
_RESTART_S = 10.0
TRIES = 3


class RayScoringBackend:
    """A `ScoringBackend` that calls the Scorer deployment through its Ray Serve handle."""

    def __init__(self, scorer: "DeploymentHandle[Any]"):
        self._scorer = scorer
        self._admission = AdmissionControl()

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | FailedText, ...]:
        """See ScoringBackend."""
        size = (len(texts), sum(map(len, texts)))
        outcome: object = self._admission.refusal(size)
        if outcome is None:
            outcome = await self.call("score", seconds, tuple(texts), alpha, timeline, evidence)
            assert isinstance(outcome, ScoreResponse | Overloaded)
            self._admission.record(outcome, size)
        if isinstance(outcome, Overloaded):
            raise RequestError(
                429,
                "queue_full",
                f"{outcome.waiting} texts wait already, {outcome.wait_s:.1f} s of work in all",
                outcome.limit,
                "try again later, or send fewer texts at once",
                outcome.wait_s,
            )
        assert isinstance(outcome, ScoreResponse)
        return outcome.verdicts

    async def status(self) -> ModelStatus:
        """See ScoringBackend."""
        try:
            found = await self.call("status", 2.0)
        except RequestError as refusal:
            return ModelStatus(None, reason=f"no scorer answers: {refusal.message}")
        assert isinstance(found, ModelStatus)
        return found

    async def registered(self) -> RegisteredModel:
        """See ScoringBackend."""
        found = await self.call("registered", 5.0)
        assert isinstance(found, RegisteredModel)
        return found

    async def call(self, method: str, seconds: float, *args: object) -> object:
        """Calls a replica, and another one where it died or has no model yet.

        Repeating a call is safe, since the methods have no side effects.

        Raises:
            RequestError: no replica answered in `TRIES` tries, or within `seconds`.
        """
        end = time.monotonic() + seconds
        problem: RequestError | None = None
        for _ in range(TRIES):
            try:
                async with translated_errors():
                    outcome = await self._call_once(method, args, end - time.monotonic())
            except TimeoutError:
                raise problem or _late(seconds) from None
            except ReplicaLostError as lost:
                problem = lost.refusal
                continue
            if not isinstance(outcome, NotReady):
                return outcome
            problem = _unready(outcome.reason)
        assert problem is not None
        raise problem

    async def _call_once(self, method: str, args: tuple[object, ...], seconds: float) -> object:
        response = getattr(self._scorer, method).remote(*args)
        # Not asyncio.timeout, which cancels: Serve raises its own error for a cancelled wait.
        task = asyncio.ensure_future(_result(response))
        task.add_done_callback(_retrieve_exception)
        try:
            await asyncio.wait({task}, timeout=max(0.0, seconds))
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                # Cancels the call on the replica, unless it has begun.
                response.cancel()
                task.cancel()


async def _result(response: Any) -> object:
    return await response


def _retrieve_exception(task: "asyncio.Future[object]") -> None:
    """Retrieves the exception so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()


class ReplicaLostError(Exception):
    """The called replica has died; another one may answer.

    Attributes:
        refusal: for the client, where no other replica answers either.
    """

    def __init__(self, refusal: RequestError):
        super().__init__(refusal.message)
        self.refusal = refusal


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Turns exceptions of Ray Serve into RequestError or ReplicaLostError."""
    try:
        yield
    except BackPressureError as error:
        waiting, limit = error.args[:2]
        raise RequestError(
            429,
            "queue_full",
            f"{waiting} requests are waiting already",
            limit,
            "try again later",
            2.0,
        ) from None
    except RayTaskError:
        # Raised by the Scorer's own code, so another replica would raise it too.
        LOG.exception("the scorer failed")
        raise internal_error() from None
    except (RayError, DeploymentUnavailableError, ReplicaUnavailableError) as error:
        LOG.warning("a replica is gone: %s", type(error).__name__)
        raise ReplicaLostError(_unready("a scorer has just died")) from None


def _unready(reason: str) -> RequestError:
    return RequestError(
        503, "not_ready", reason, hint="see /readyz; try again later", retry_after_s=_RESTART_S
    )


def _late(seconds: float) -> RequestError:
    return RequestError(
        504,
        "deadline",
        f"no verdict within {seconds:g} s",
        seconds,
        "send fewer or shorter texts, or try again when there is less to do",
    )
