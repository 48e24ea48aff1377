"""What becomes of a request when replicas die, are late, busy, or have no model: a fake handle."""

import asyncio

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve.http.errors import RequestError
from serve.replica.backend import RayScoringBackend
from serve.replica.messages import NotReady, Overloaded, ScoreResponse
from tests.serve.fakes import make_verdict

VERDICT = ScoreResponse((make_verdict("a"),))


class FakeResponse:
    """As Serve's: awaited, or cancelled."""

    def __init__(self, outcome):
        self._outcome, self.cancelled = outcome, False

    def cancel(self):
        self.cancelled = True

    def __await__(self):
        return self._wait().__await__()

    async def _wait(self):
        if self._outcome == "hangs":
            await asyncio.Event().wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class FakeHandle:
    """Gives one outcome a call."""

    def __init__(self, *outcomes):
        self._outcomes, self.responses = list(outcomes), []
        self.score = self.status = self.registered = self

    def remote(self, *words):
        self.responses.append(FakeResponse(self._outcomes.pop(0)))
        return self.responses[-1]


def ask(handle, seconds=5.0):
    return asyncio.run(RayScoringBackend(handle).score(["a"], None, True, False, seconds))


def refused(handle, seconds=5.0):
    with pytest.raises(RequestError) as caught:
        ask(handle, seconds)
    return caught.value


def died():
    return ActorDiedError()


def test_a_dead_replicas_request_goes_to_another():
    for gone in (died(), DeploymentUnavailableError("x"), NotReady("loading")):
        handle = FakeHandle(gone, VERDICT)
        assert ask(handle) == VERDICT.verdicts
        assert len(handle.responses) == 2


def test_it_is_not_tried_for_ever():
    handle = FakeHandle(*[died() for _ in range(9)])
    error = refused(handle)
    assert (error.status, error.code) == (503, "not_ready")
    assert error.retry_after_s > 0
    assert len(handle.responses) == 3
    error = refused(FakeHandle(*[NotReady("the registry is away")] * 9))
    assert (error.status, error.message) == (503, "the registry is away")


def test_a_late_verdict_is_a_504_and_is_called_off():
    handle = FakeHandle("hangs")
    error = refused(handle, 0.05)
    assert (error.status, error.limit) == (504, 0.05)
    assert handle.responses[0].cancelled


def test_the_deadline_holds_for_all_tries_together():
    handle = FakeHandle(died(), "hangs")
    assert refused(handle, 0.1).status == 503


def test_a_client_that_leaves_calls_its_texts_off():
    handle = FakeHandle("hangs")

    async def run():
        task = asyncio.create_task(RayScoringBackend(handle).score(["a"], None, True, False, 5.0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert handle.responses[0].cancelled


def test_overload_is_a_429_from_either_queue():
    error = refused(FakeHandle(Overloaded(250, 256, 7.5)))
    assert (error.status, error.limit, error.retry_after_s) == (429, 256, 7.5)
    error = refused(FakeHandle(BackPressureError(9, 8)))
    assert (error.status, error.limit) == (429, 8)


def test_who_would_be_refused_again_is_not_asked_about():
    handle = FakeHandle(Overloaded(1, 8, 9.0, room_s=60.0, replica="a"), VERDICT)
    backend = RayScoringBackend(handle)

    def code(text):
        with pytest.raises(RequestError) as caught:
            asyncio.run(backend.score([text], None, True, False, 5.0))
        return caught.value.code

    assert [code("as long as this"), code("as long as that")] == ["queue_full"] * 2
    assert len(handle.responses) == 1
    # A shorter one may have room.
    assert asyncio.run(backend.score(["a"], None, True, False, 5.0)) == VERDICT.verdicts


def test_a_fault_on_the_replica_is_ours_and_is_not_repeated():
    fault = RayTaskError("score", "Traceback: /secret", ValueError("secret"))
    handle = FakeHandle(fault, VERDICT)
    error = refused(handle)
    assert (error.status, error.code) == (500, "internal")
    assert "secret" not in str(error.body())
    assert len(handle.responses) == 1


def test_the_status_never_fails():
    handle = FakeHandle(*[died() for _ in range(3)])
    status = asyncio.run(RayScoringBackend(handle).status())
    assert status.model is None
    assert "no scorer answers" in status.reason
