"""`POST /v1/generate`: the LM writes, and the events of it go out as they happen."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from copylens.client.records import verdict_from
from serve.api.openapi import GENERATION, event_stream
from serve.api.responses import note, ruled
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, broken_off
from serve.replica.generation import Event, EventName, GenerateRequest, error_event, sse

router = APIRouter(tags=["generation"])

# A proxy that buffers would hold tokens back.
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventResponse(StreamingResponse):
    """Server-sent events; however it ends, the generation behind it ends too."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncIterator[str], events: AsyncIterator[Event]):
        super().__init__(lines, headers=_HEADERS)
        self._events = events

    async def __call__(self, *scope: Any) -> None:
        """Sends all; a client that goes away cancels this."""
        try:
            await super().__call__(*scope)
        finally:
            await close(self.body_iterator)
            await close(self._events)


@router.post(
    "/v1/generate",
    status_code=200,
    response_class=EventResponse,
    responses=GENERATION,
    openapi_extra=event_stream(*get_args(EventName)),
)
async def generate(body: GenerateRequest, request: Request, context: Ctx) -> EventResponse:
    """Server-sent events while the LM writes: token, shares, flag, blocked, verdict, done, error.

    See docs/generation.md for what each one carries.
    """
    events = told(context, request, body)
    return EventResponse(_sse(await begun(context, events)), events)


async def told(context: Context, request: Request, asked: GenerateRequest) -> AsyncIterator[Event]:
    """What the LM and its watch tell; the verdict with the policy's word, counted and logged."""
    assert context.generation is not None
    # A text keeps the policy that it began with.
    policy, limits = context.policy.current(), context.args.limits
    start, text = time.perf_counter(), ""
    async with aclosing(context.generation.stream(asked, policy)) as events:
        async for event in events:
            seconds = time.perf_counter() - start
            if event.name == "token":
                text += event.data["text"]
            elif event.name == "verdict":
                row = ruled(context, policy, verdict_from(event.data))
                note(context, request, text, row, seconds)
                event = Event("verdict", row)
            yield event
            if event.name == "token" and seconds > limits.generation_s:
                line = f"the generation took longer than {limits.generation_s:g} s"
                yield error_event(504, "deadline", line, "ask for fewer tokens")
                return


async def begun(context: Context, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The same events, once the first is there: what is refused has a status of its own.

    Raises:
        RequestError: the generation is refused, or does not begin in time.
    """
    deadline_s = context.args.limits.deadline_s
    # Not asyncio.timeout: Serve turns a cancelled wait into an error of its own.
    first = asyncio.ensure_future(anext(events))
    await asyncio.wait({first}, timeout=deadline_s)
    if not first.done():
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await close(events)
        line = f"the generation did not begin within {deadline_s:g} s"
        raise RequestError(504, "deadline", line, deadline_s, "try again when there is less to do")
    if first.result().name == "error":
        await close(events)
        raise broken_off(first.result().data)
    return _chain(first.result(), events)


async def close(items: Any) -> None:
    """Ends an iterator that can be ended."""
    if hasattr(items, "aclose"):
        await items.aclose()


async def _chain(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
    yield first
    async for event in rest:
        yield event


async def _sse(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in events:
        yield sse(event)
