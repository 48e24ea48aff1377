"""The routes of text generation, for any FastAPI app:

    app.include_router(router(lambda: backend))

`POST /v1/generate` (server-sent events), `POST /v1/completions`, `POST /v1/chat/completions` and
`GET /v1/models` as OpenAI's clients expect them. Keys, quotas and limits are the app's concern.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from copylens.errors import CopyLensError
from serve.generation import BodyError, Event, GenerateRequest, GenerationBackend, parse, sse
from serve.openai_answers import Answer, Kind, Told, chunks, error_body, model_list
from serve.openai_schema import ChatBody, CompletionBody, refuse_unsupported

GetBackend = Callable[[], GenerationBackend]

# A proxy that buffers would hold tokens back.
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_T = TypeVar("_T")


def router(get_backend: GetBackend) -> APIRouter:
    """The routes over whatever `get_backend` gives at the time of a request."""
    routes = APIRouter(tags=["generation"])
    started = int(time.time())

    @routes.post("/v1/generate", openapi_extra=_body(GenerateRequest))
    async def generate(request: Request) -> Response:
        """Server-sent events while the LM writes: see `Event`."""
        try:
            asked = parse(GenerateRequest, await _json(request))
        except CopyLensError as error:
            return _refused(str(error), 422)
        events = get_backend().stream(asked)
        first = await anext(events)
        if first.name == "error":
            return _refused(**first.data)
        return EventResponse(_sse(_chain(first, events)), events)

    @routes.post("/v1/completions", openapi_extra=_body(CompletionBody))
    async def completions(request: Request) -> Response:
        """OpenAI's text completion; `copylens` carries flags and verdict."""
        return await _openai(request, get_backend(), "completion", CompletionBody)

    @routes.post("/v1/chat/completions", openapi_extra=_body(ChatBody))
    async def chat(request: Request) -> Response:
        """OpenAI's chat completion; `copylens` carries flags and verdict."""
        return await _openai(request, get_backend(), "chat", ChatBody)

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The LM that writes, as a list of one."""
        return model_list(await get_backend().card(), started)

    return routes


class EventResponse(StreamingResponse):
    """Server-sent events; however it ends, the generation behind it ends too."""

    def __init__(self, lines: AsyncIterator[str], events: AsyncIterator[Event]):
        super().__init__(lines, media_type="text/event-stream", headers=_HEADERS)
        self._events = events

    async def __call__(self, *scope: Any) -> None:
        """Sends all; a client that goes away cancels this."""
        try:
            await super().__call__(*scope)
        finally:
            await _close(self.body_iterator)
            await _close(self._events)


async def _openai(
    request: Request,
    backend: GenerationBackend,
    kind: Kind,
    form: type[CompletionBody] | type[ChatBody],
) -> Response:
    try:
        body = await _json(request)
        refuse_unsupported(body)
        parsed = parse(form, body)
        asked = parsed.request()
    except CopyLensError as error:
        return _failed(str(error), 400, getattr(error, "param", None))
    card = await backend.card()
    if parsed.model not in (None, card.id):
        line = f"the model '{parsed.model}' is not served here; there is '{card.id}'"
        return _failed(line, 404, "model", "model_not_found")
    answer = Answer.new(kind, card.id)
    events = backend.stream(asked)
    if not parsed.stream:
        told = await unless_gone(request, _collect(events))
        if told is None:
            return Response(status_code=499)  # nobody will read it
        if told.error is not None:
            return _failed(told.error["message"], told.error["status"])
        return JSONResponse(answer.whole(told))
    first = await anext(events)
    if first.name == "error":
        return _failed(first.data["message"], first.data["status"])
    return EventResponse(chunks(answer, _chain(first, events), parsed.with_usage), events)


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


async def _collect(events: AsyncIterator[Event]) -> Told:
    told = Told()
    try:
        async for event in events:
            told.take(event)
    finally:
        await _close(events)
    return told


async def _chain(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
    yield first
    async for event in rest:
        yield event


async def _sse(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in events:
        yield sse(event)


async def _close(events: Any) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BodyError("the body is no JSON in UTF-8", "body") from None


def _refused(message: str, status: int, hint: str | None = None) -> Response:
    code = "invalid" if status < 500 else "internal"
    error = {"code": code, "message": message, "limit": None, "hint": hint}
    return JSONResponse({"error": error}, status)


def _failed(
    message: str, status: int, param: str | None = None, code: str | None = None
) -> Response:
    return JSONResponse(error_body(message, status, param, code), status)


def _body(form: type[BaseModel]) -> dict[str, Any]:
    """The body's schema for /openapi.json, since the routes read it themselves."""
    schema = form.model_json_schema()
    parts = schema.pop("$defs", {})

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inlined(parts[node["$ref"].rpartition("/")[2]])
        return {key: inlined(value) for key, value in node.items()}

    content = {"application/json": {"schema": inlined(schema)}}
    return {"requestBody": {"required": True, "content": content}}
