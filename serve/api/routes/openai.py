"""`POST /v1/completions`, `POST /v1/chat/completions`, `GET /v1/models`: for OpenAI's clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from serve.api.openai.request_schema import ChatBody, CompletionBody, refuse_unsupported
from serve.api.openai.response_schema import ChatOut, CompletionOut, ModelsOut
from serve.api.openai.responses import Answer, Kind, Told, chunks, model_list
from serve.api.openapi import COMMON, OPENAI, event_stream
from serve.api.routes.generation import EventResponse, begun, close, told
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, broken_off
from serve.replica.generation import Event

# Errors in a body are 400 here, as OpenAI's clients know them.
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
    """OpenAI's text completion, whole or streamed; `copylens` carries flags and verdict."""
    return await _answered(body, request, context, "completion")


@router.post(
    "/v1/chat/completions",
    response_model=ChatOut,
    responses=OPENAI,
    openapi_extra=event_stream(),
)
async def chat(body: ChatBody, request: Request, context: Ctx) -> Response:
    """OpenAI's chat completion, whole or streamed; `copylens` carries flags and verdict."""
    return await _answered(body, request, context, "chat")


@router.get("/v1/models", response_model=ModelsOut, responses=COMMON)
async def models(context: Ctx) -> dict[str, Any]:
    """The LM that writes, as a list of one."""
    assert context.generation is not None
    return model_list(await context.generation.card(), _STARTED)


async def _answered(
    body: CompletionBody | ChatBody, request: Request, context: Context, kind: Kind
) -> Response:
    refuse_unsupported(body)
    asked = body.request()
    assert context.generation is not None
    card = await context.generation.card()
    if body.model not in (None, card.id):
        line = f"the model '{body.model}' is not served here; there is '{card.id}'"
        raise RequestError(404, "model_not_found", line, param="model")
    answer = Answer.new(kind, card.id)
    events = told(context, request, asked)
    if body.stream:
        lines = chunks(answer, await begun(context, events), body.with_usage)
        return EventResponse(lines, events)
    whole = await unless_gone(request, _collect(context, events))
    if whole is None:
        return Response(status_code=499)  # nobody will read it
    return JSONResponse(answer.whole(whole))


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of the work, or None where the client went away before, which cancels it."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for item in (task, watch):
            item.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _collect(context: Context, events: AsyncIterator[Event]) -> Told:
    """All that is told.

    Raises:
        RequestError: the generation is refused, or broke off.
    """
    whole = Told()
    try:
        async for event in await begun(context, events):
            if event.name == "error":
                raise broken_off(event.data)
            whole.take(event)
    finally:
        await close(events)
    return whole
