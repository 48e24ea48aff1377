"""A generation on a replica: the same events, through a Ray Serve handle."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from serve.errors import RequestError
from serve.generation import Event, GenerateRequest, ModelCard
from serve.policy import Policy
from serve.wire import NotReady


class HandleGeneration:
    """A `serve.generation.GenerationBackend` over a deployment with these two methods:

        async def generate(self, request: GenerateRequest, policy: Policy) -> AsyncIterator[Event]
        async def card(self) -> ModelCard | NotReady

    both of which may hand on to a `LocalBackend` of the replica.
    """

    def __init__(self, handle: Any, policy: Callable[[], Policy]):
        """Nothing is asked yet.

        Args:
            handle: the deployment's `DeploymentHandle`.
            policy: the one that holds now; a generation keeps the one it began with.
        """
        self._handle, self._policy = handle, policy

    async def stream(self, request: GenerateRequest) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator cancels it on the replica."""
        events = self._handle.options(stream=True).generate.remote(request, self._policy())
        try:
            async for event in events:
                yield event
        finally:
            # After the last event there is nothing to cancel, and it does no harm.
            events.cancel()

    async def card(self) -> ModelCard:
        """The one model that is served.

        Raises:
            RequestError: none is loaded yet.
        """
        card = await self._handle.card.remote()
        if isinstance(card, NotReady):
            raise RequestError(503, "not_ready", card.reason, retry_after_s=10)
        assert isinstance(card, ModelCard)
        return card
