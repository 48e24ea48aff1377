"""A generation on a replica: the same events, through a Ray Serve handle."""

from collections.abc import AsyncIterator
from typing import Any

from serve.api.policy import Policy
from serve.http.errors import RequestError
from serve.replica.backend import TRIES, GoneError, HandleBackend, serve_errors
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event

# The first to ask may have to wait for the LM.
_CARD_S = 30.0


class HandleGeneration:
    """A `serve.replica.generation.GenerationBackend` over a deployment with these two methods:

        async def generate(self, request: GenerateRequest, policy: Policy) -> AsyncIterator[Event]
        async def card(self) -> ModelCard | NotReady

    both of which may hand on to a `LocalBackend` of the replica.
    """

    def __init__(self, handle: Any):
        """Nothing is asked yet; `handle` is the deployment's `DeploymentHandle`."""
        self._handle = handle

    async def stream(self, request: GenerateRequest, policy: Policy) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator cancels it on the replica.

        A replica that dies before its first event costs nothing: another one is asked. After that
        the generation ends with an error, for no other replica would go on with the same text.
        """
        begun = False
        for left in reversed(range(TRIES)):
            events = self._handle.options(stream=True).generate.remote(request, policy)
            try:
                async with serve_errors():
                    async for event in events:
                        begun = True
                        yield event
                return
            except GoneError as gone:
                if begun or not left:
                    yield _ended(gone.refusal)
                    return
            except RequestError as refusal:
                yield _ended(refusal)
                return
            finally:
                # After the last event there is nothing to cancel, and it does no harm.
                events.cancel()

    async def card(self) -> ModelCard:
        """The one model that is served.

        Raises:
            RequestError: none is loaded yet, or no replica answers.
        """
        card = await HandleBackend(self._handle).ask("card", _CARD_S)
        assert isinstance(card, ModelCard)
        return card


def _ended(refusal: RequestError) -> Event:
    return error_event(refusal.status, refusal.code, refusal.message, refusal.hint)
