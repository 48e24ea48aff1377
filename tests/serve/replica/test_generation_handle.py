"""Generations through a Serve deployment: the same events, and a client that leaves ends them."""

import asyncio

import pytest
from ray import serve

from serve.api.policy import ContentPolicy
from serve.replica.generation import GenerateRequest
from serve.replica.generation_handle import RayGenerationBackend
from tests.serve.generation_samples import EVENTS, FakeGenerationBackend, endless

pytestmark = pytest.mark.ray


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Replica:
    def __init__(self):
        self.backend = FakeGenerationBackend(EVENTS)
        self.slow = endless()

    async def generate(self, request, policy):
        assert policy.rules == ()
        backend = self.slow if request.prompt == "slow" else self.backend
        async for event in backend.stream(request, policy):
            yield event

    async def card(self):
        return await self.backend.card()

    async def closed(self):
        """Whether the slow generation is closed, as soon as it is."""
        return await asyncio.to_thread(self.slow.closed.wait, 60)


@pytest.fixture(scope="module")
def handle(cluster):
    yield serve.run(Replica.bind(), name="generation", route_prefix=None)
    serve.delete("generation")


def test_events_come_from_the_replica(handle):
    async def run():
        backend = RayGenerationBackend(handle)
        events = [
            event async for event in backend.stream(GenerateRequest(prompt="a"), ContentPolicy())
        ]
        return events, await backend.card()

    events, card = asyncio.run(run())
    assert events == EVENTS
    assert (card.id, card.context) == ("tiny", 64)


def test_closing_the_iterator_ends_it_on_the_replica(handle):
    async def leave():
        events = RayGenerationBackend(handle).stream(
            GenerateRequest(prompt="slow"), ContentPolicy()
        )
        await anext(events)
        await events.aclose()

    asyncio.run(leave())
    assert handle.closed.remote().result()
