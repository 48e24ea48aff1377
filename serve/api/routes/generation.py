"""`POST /v1/generate`: a monitored generation as server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import TypeAdapter

from copylens.records import Verdict
from serve.api.openapi import GENERATION, event_stream
from serve.api.responses import log_response, verdict_response
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, error_from_event
from serve.replica.generation import Event, EventName, GenerateRequest, error_event

router = APIRouter(tags=["generation"])

# A proxy that buffers would delay the tokens.
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_VERDICT = TypeAdapter(Verdict)


class EventResponse(StreamingResponse):
    """Server-sent events of a generation, which is closed when the response ends.

    Not FastAPI's EventSourceResponse: a route with it must be a generator, whose status is
    sent before its first event.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncIterator[bytes], events: AsyncIterator[Event]):
        """`chunks`: what is sent; `events`: the generation that they are made of."""
        super().__init__(chunks, headers=_HEADERS)
        self._events = events

    async def __call__(self, *scope: Any) -> None:
        """Sends the response; cancelled where the client disconnects."""
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
    """Server-sent events of a generation: token, shares, flag, blocked, verdict, done, error.

    See docs/generation.md for the data of each event.
    """
    events = monitored_events(context, request, body)
    return EventResponse(_sse(await started(context, events)), events)


async def monitored_events(
    context: Context, request: Request, body: GenerateRequest
) -> AsyncIterator[Event]:
    """The events of a generation; its verdict gets the policy's ruling, is counted and logged."""
    assert context.generation is not None
    # Read once: a change of the policy does not affect a running generation.
    policy, limits = context.policy.current(), context.args.limits
    start, text = time.perf_counter(), ""
    async with aclosing(context.generation.stream(body, policy)) as events:
        async for event in events:
            seconds = time.perf_counter() - start
            if event.name == "token":
                text += event.data["text"]
            elif event.name == "verdict":
                verdict = _VERDICT.validate_python(event.data)
                row = verdict_response(context, policy, verdict)
                log_response(context, request, text, row, seconds)
                event = Event("verdict", row)
            yield event
            if event.name == "token" and seconds > limits.generation_s:
                line = f"the generation took longer than {limits.generation_s:g} s"
                yield error_event(504, "deadline", line, "ask for fewer tokens")
                return


async def started(context: Context, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The same events, once the first has arrived, so that a refusal can have its own HTTP status.

    Raises:
        RequestError: the generation is refused, or does not begin in time.
    """
    deadline_s = context.args.limits.deadline_s
    # Not asyncio.timeout, which cancels: Serve raises its own error for a cancelled wait.
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
        raise error_from_event(first.result().data)
    return _chain(first.result(), events)


async def close(iterator: Any) -> None:
    """Closes an asynchronous generator; other iterators have nothing to close."""
    if hasattr(iterator, "aclose"):
        await iterator.aclose()


async def _chain(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
    yield first
    async for event in rest:
        yield event


async def _sse(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        data = json.dumps(event.data, ensure_ascii=False)
        yield format_sse_event(event=event.name, data_str=data)
