"""Events of a generation, a backend that sends them, and the routes on a real server."""

import asyncio
import itertools
import json
import threading
from contextlib import contextmanager

from starlette.testclient import TestClient

from serve.api.policy import ContentPolicy
from serve.replica.generation import Event, GenerateRequest, ModelCard
from tests.generation.live_samples import verdict
from tests.serve.fakes import make_app, make_client
from tests.serve.server import serving

VERDICT = json.loads(json.dumps(verdict("sea").to_dict()))
PROMPT = "The sea was calm"
FLAG = {
    "decision": "registered",
    "sub_dataset": "sea",
    "holder": "Sea Press",
    "share": 0.8,
    "p_value": 0.6,
    "tokens": 2,
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
EVENTS = [
    Event("token", {"text": "One ", "tokens": 1}),
    Event("token", {"text": "wörd\n", "tokens": 2}),
    Event("flag", FLAG),
    Event("verdict", VERDICT),
    Event("done", {"finish": "length", "seed": 4, "usage": USAGE}),
]
# The default policy's ruling on the verdict.
RULING = {
    "action": "flag",
    "rule": "default",
    "holder": "Sea Press",
    "sub_dataset": "sea",
    "share": 0.5,
    "policy": ContentPolicy().id,
}
BLOCKED = [
    *EVENTS[:3],
    Event("blocked", {"reason": "the text draws on sea", "sub_dataset": "sea", "holder": "Sea"}),
    EVENTS[3],
    Event("done", {"finish": "blocked", "seed": 4, "usage": USAGE}),
]


def endless() -> "FakeGenerationBackend":
    """A generation that only ends by being closed."""
    return FakeGenerationBackend(itertools.repeat(EVENTS[0]), pause=0.02)


class FakeGenerationBackend:
    """Sends the given events, `pause` seconds apart; records the requests and how far it came.

    Attributes:
        sent: number of events that were consumed.
        started, closed: set when a stream has begun, and when it has ended or was closed.
    """

    def __init__(self, events, pause=0.0):
        self.events, self.pause = events, pause
        self.asked: list[GenerateRequest] = []
        self.sent = 0
        self.started, self.closed = threading.Event(), threading.Event()

    async def stream(self, request, policy):
        self.asked.append(request)
        self.started.set()
        try:
            for event in self.events:
                yield event
                self.sent += 1
                await asyncio.sleep(self.pause)
        finally:
            self.closed.set()

    async def card(self):
        return ModelCard("tiny", 64, "copylens", "3")


def client_of(backend) -> TestClient:
    return make_client(generation=backend)


@contextmanager
def served(backend):
    """The application on a real server; yields its address."""
    with serving(make_app(generation=backend)) as address:
        yield address


def sent(events: list[Event]) -> list[tuple[str, dict]]:
    """The same events as clients get them: the verdict has the policy's ruling."""
    added = {"verdict": {"policy": RULING}}
    return [(event.name, event.data | added.get(event.name, {})) for event in events]


def events_of(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found
