"""Generations through a Serve deployment: the same events, and a client that leaves ends them."""

import asyncio
import time

import pytest
from ray import serve

from serve.api.policy import Policy
from serve.replica.generation import GenerateRequest
from serve.replica.generation_handle import HandleGeneration
from tests.serve.generation_samples import TOLD, FakeBackend

pytestmark = pytest.mark.ray


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Replica:
    def __init__(self):
        self.backend = FakeBackend(TOLD)
        self.slow = FakeBackend([TOLD[0]] * 500, pause=0.02)

    async def generate(self, request, policy):
        assert policy.rules == ()
        backend = self.slow if request.prompt == "slow" else self.backend
        async for event in backend.stream(request, policy):
            yield event

    async def card(self):
        return await self.backend.card()

    async def given(self):
        return self.slow.given


@pytest.fixture(scope="module")
def handle(cluster):
    yield serve.run(Replica.bind(), name="generation", route_prefix=None)
    serve.delete("generation")


def test_events_come_from_the_replica(handle):
    async def run():
        backend = HandleGeneration(handle)
        told = [event async for event in backend.stream(GenerateRequest(prompt="a"), Policy())]
        return told, await backend.card()

    told, card = asyncio.run(run())
    assert told == TOLD
    assert (card.id, card.context) == ("tiny", 64)


def test_closing_the_iterator_ends_it_on_the_replica(handle):
    async def leave():
        events = HandleGeneration(handle).stream(GenerateRequest(prompt="slow"), Policy())
        await anext(events)
        await events.aclose()

    asyncio.run(leave())
    time.sleep(0.5)
    given = handle.given.remote().result()
    time.sleep(0.3)
    assert handle.given.remote().result() == given < 100
