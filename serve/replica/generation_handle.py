"""Generations on a Scorer replica, through a Ray Serve handle."""

from collections.abc import AsyncIterator
from typing import Any

from serve.api.policy import ContentPolicy
from serve.http.errors import RequestError
from serve.replica.backend import TRIES, RayScoringBackend, ReplicaLostError, translated_errors
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event

# The first call may load the LM.
_CARD_S = 30.0


class RayGenerationBackend:
    """A `GenerationBackend` that calls `generate` and `card` of the Scorer deployment."""

    def __init__(self, handle: Any):
        """Calls nothing yet; `handle`: the deployment's `DeploymentHandle`."""
        self._handle = handle

    async def stream(self, request: GenerateRequest, policy: ContentPolicy) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator cancels it on the replica.

        Where a replica dies before its first event, another one is called. After that the
        generation ends with an error, since another replica would generate another text.
        """
        started = False
        for left in reversed(range(TRIES)):
            events = self._handle.options(stream=True).generate.remote(request, policy)
            try:
                async with translated_errors():
                    async for event in events:
                        started = True
                        yield event
                return
            except ReplicaLostError as lost:
                if started or not left:
                    yield _ended(lost.refusal)
                    return
            except RequestError as refusal:
                yield _ended(refusal)
                return
            finally:
                # Has no effect after the last event.
                events.cancel()

    async def card(self) -> ModelCard | None:
        """The LM of the deployment; None where its model was trained without one.

        Raises:
            RequestError: no model is loaded yet, or no replica answers.
        """
        card = await RayScoringBackend(self._handle).call("card", _CARD_S)
        assert card is None or isinstance(card, ModelCard)
        return card


def _ended(refusal: RequestError) -> Event:
    return error_event(refusal.status, refusal.code, refusal.message, refusal.hint)
