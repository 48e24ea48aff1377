"""A generation on a replica: the same events, through a Ray Serve handle."""

from collections.abc import AsyncIterator
from typing import Any

from serve.generation import Event, GenerateRequest, ModelCard


class HandleGeneration:
    """A `serve.generation.GenerationBackend` over a deployment with these two methods:

        async def generate(self, request: GenerateRequest) -> AsyncIterator[Event]
        async def card(self) -> ModelCard

    both of which may hand on to a `LocalBackend` of the replica.
    """

    def __init__(self, handle: Any):
        """Args: handle: the deployment's `DeploymentHandle`."""
        self._handle = handle

    async def stream(self, request: GenerateRequest) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator cancels it on the replica."""
        events = self._handle.options(stream=True).generate.remote(request)
        try:
            async for event in events:
                yield event
        finally:
            # After the last event there is nothing to cancel, and it does no harm.
            events.cancel()

    async def card(self) -> ModelCard:
        """The one model that is served."""
        card: ModelCard = await self._handle.card.remote()
        return card
