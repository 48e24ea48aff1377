"""The Scorer deployment as the web side sees it: what Serve raises becomes an answer."""

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
from serve.http.admission import Turnstile
from serve.http.errors import RequestError, internal
from serve.ops.log import LOG
from serve.replica.messages import Busy, Failed, NotReady, Registered, Scored, Status

# A new replica loads an LM first.
_RESTART_S = 10.0
TRIES = 3


class HandleBackend:
    """The Scorer deployment behind its handle."""

    def __init__(self, scorer: "DeploymentHandle[Any]"):
        self._scorer = scorer
        self._turnstile = Turnstile()

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | Failed, ...]:
        """See Backend."""
        size = (len(texts), sum(map(len, texts)))
        outcome: object = self._turnstile.refusal(size)
        if outcome is None:
            outcome = await self.ask("score", seconds, tuple(texts), alpha, timeline, evidence)
            assert isinstance(outcome, Scored | Busy)
            self._turnstile.note(outcome, size)
        if isinstance(outcome, Busy):
            raise RequestError(
                429,
                "queue_full",
                f"{outcome.waiting} texts wait already, {outcome.wait_s:.1f} s of work in all",
                outcome.limit,
                "try again later, or send fewer texts at once",
                outcome.wait_s,
            )
        assert isinstance(outcome, Scored)
        return outcome.verdicts

    async def status(self) -> Status:
        """See Backend."""
        try:
            found = await self.ask("status", 2.0)
        except RequestError as refusal:
            return Status(None, reason=f"no scorer answers: {refusal.message}")
        assert isinstance(found, Status)
        return found

    async def registered(self) -> Registered:
        """See Backend."""
        found = await self.ask("registered", 5.0)
        assert isinstance(found, Registered)
        return found

    async def ask(self, method: str, seconds: float, *words: object) -> object:
        """Asks any replica; asks another where one died or has no model yet.

        Scoring twice does no harm, so a replica that is killed costs time and no request.
        """
        end = time.monotonic() + seconds
        problem: RequestError | None = None
        for _ in range(TRIES):
            try:
                async with serve_errors():
                    outcome = await self._once(method, words, end - time.monotonic())
            except TimeoutError:
                raise problem or _late(seconds) from None
            except GoneError as gone:
                problem = gone.refusal
                continue
            if not isinstance(outcome, NotReady):
                return outcome
            problem = _unready(outcome.reason)
        assert problem is not None
        raise problem

    async def _once(self, method: str, words: tuple[object, ...], seconds: float) -> object:
        response = getattr(self._scorer, method).remote(*words)
        # Not asyncio.timeout: Serve turns a cancelled wait into an error of its own.
        task = asyncio.ensure_future(_result(response))
        task.add_done_callback(_look_at)
        try:
            await asyncio.wait({task}, timeout=max(0.0, seconds))
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                # Nobody waits any more: what has not begun on the replica never will.
                response.cancel()
                task.cancel()


async def _result(response: Any) -> object:
    return await response


def _look_at(task: "asyncio.Future[object]") -> None:
    """An error that nobody waits for is not news."""
    if not task.cancelled():
        task.exception()


class GoneError(Exception):
    """The replica asked is no more; another may answer."""

    def __init__(self, refusal: RequestError):
        super().__init__(refusal.message)
        self.refusal = refusal


@asynccontextmanager
async def serve_errors() -> AsyncIterator[None]:
    """What Serve raises becomes a refusal, or a reason to ask another replica."""
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
        # Raised by our own code on the replica: another replica would raise it too.
        LOG.exception("the scorer failed")
        raise internal() from None
    except (RayError, DeploymentUnavailableError, ReplicaUnavailableError) as error:
        LOG.warning("a replica is gone: %s", type(error).__name__)
        raise GoneError(_unready("a scorer has just died")) from None


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
