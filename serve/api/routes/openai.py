"""`POST /v1/completions`, `POST /v1/chat/completions`, `GET /v1/models`: for OpenAI's clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from serve.api.openai.request_schema import ChatBody, CompletionBody, refuse_unsupported
from serve.api.openai.response_schema import ChatOut, CompletionOut, ModelsOut
from serve.api.openai.responses import (
    GenerationResult,
    Kind,
    ResponseBuilder,
    chunks,
    model_list,
)
from serve.api.openapi import COMMON, OPENAI, event_stream
from serve.api.routes.generation import EventResponse, close, monitored_events, started
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, error_from_event
from serve.replica.generation import Event

# Invalid bodies get a 400 here, as OpenAI's clients expect.
TAG = "openai"
router = APIRouter(tags=[TAG])

_STARTED = int(time.time())
_T = TypeVar("_T")


@router.post(
    "/v1/completions",
    response_model=CompletionOut,
    responses=OPENAI,
    openapi_extra=event_stream(),
)
async def completions(body: CompletionBody, request: Request, context: Ctx) -> Response:
    """OpenAI's text completion, whole or streamed; `copylens` contains flags and verdict."""
    return await _response(body, request, context, "completion")


@router.post(
    "/v1/chat/completions",
    response_model=ChatOut,
    responses=OPENAI,
    openapi_extra=event_stream(),
)
async def chat(body: ChatBody, request: Request, context: Ctx) -> Response:
    """OpenAI's chat completion, whole or streamed; `copylens` contains flags and verdict."""
    return await _response(body, request, context, "chat")


@router.get("/v1/models", response_model=ModelsOut, responses=COMMON)
async def models(context: Ctx) -> dict[str, Any]:
    """The LM that generates, as a list of one; empty without an LM."""
    assert context.generation is not None
    return model_list(await context.generation.card(), _STARTED)


async def _response(
    body: CompletionBody | ChatBody, request: Request, context: Context, kind: Kind
) -> Response:
    refuse_unsupported(body)
    generate = body.request()
    assert context.generation is not None
    card = await context.generation.card()
    if card is None:
        line = "the model here was trained without an LM, so nothing is generated"
        raise RequestError(422, "cannot_write", line)
    if body.model not in (None, card.id):
        line = f"the model '{body.model}' is not served here; there is '{card.id}'"
        raise RequestError(404, "model_not_found", line, param="model")
    response = ResponseBuilder.new(kind, card.id)
    events = monitored_events(context, request, generate)
    if body.stream:
        parts = chunks(response, await started(context, events), body.with_usage)
        return EventResponse(parts, events)
    whole = await unless_disconnected(request, _collect(context, events))
    if whole is None:
        return Response(status_code=499)  # never sent: the client has disconnected
    return JSONResponse(response.whole(whole))


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of `work`; None where the client disconnects first, which cancels `work`."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, monitor = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({task, monitor}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for item in (task, monitor):
            item.cancel()
        await asyncio.gather(task, monitor, return_exceptions=True)


async def _collect(context: Context, events: AsyncIterator[Event]) -> GenerationResult:
    """Consumes all events.

    Raises:
        RequestError: the generation is refused or fails.
    """
    result = GenerationResult()
    try:
        async for event in await started(context, events):
            if event.name == "error":
                raise error_from_event(event.data)
            result.add(event)
    finally:
        await close(events)
    return result
