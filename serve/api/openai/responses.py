"""Events of a generation -> OpenAI's responses, whole or in chunks.

Each response has an additional field `copylens`: the verdict on the text, the flags, the reason of
a block, and the seed. In a stream a flag comes in a chunk without text as soon as it is raised, the
rest with the last choice. A blocked text ends with `content_filter`; a response that is not
streamed then contains none of the text.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi.sse import format_sse_event

from serve.http.errors import error_from_event
from serve.replica.generation import Event, ModelCard

Kind = Literal["completion", "chat"]

_FINISH = {"stop": "stop", "length": "length", "blocked": "content_filter"}
_PREFIX = {"completion": "cmpl", "chat": "chatcmpl"}


@dataclass
class GenerationResult:
    """What the events of a generation add up to."""

    text: str = ""
    finish: str = "stop"
    usage: dict[str, int] = field(default_factory=dict)
    copylens: dict[str, Any] = field(
        default_factory=lambda: {"verdict": None, "flags": [], "blocked": None, "seed": None}
    )

    def add(self, event: Event) -> None:
        """Adds the next event."""
        data = event.data
        if event.name == "token":
            self.text += data["text"]
        elif event.name == "flag":
            self.copylens["flags"].append(data)
        elif event.name == "blocked":
            self.copylens["blocked"] = data
        elif event.name == "verdict":
            self.copylens["verdict"] = data
        elif event.name == "done":
            self.finish, self.usage = _FINISH[data["finish"]], data["usage"]
            self.copylens["seed"] = data["seed"]


@dataclass(frozen=True)
class ResponseBuilder:
    """Builds the parts of one response, which share these fields."""

    kind: Kind
    model: str
    id: str
    created: int

    @classmethod
    def new(cls, kind: Kind, model: str) -> "ResponseBuilder":
        """With a new id and the current time."""
        return cls(kind, model, f"{_PREFIX[kind]}-{uuid.uuid4().hex}", int(time.time()))

    def whole(self, result: GenerationResult) -> dict[str, Any]:
        """The response that is not streamed."""
        text = "" if result.finish == "content_filter" else result.text
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": result.finish}
        if self.kind == "chat":
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        name = "chat.completion" if self.kind == "chat" else "text_completion"
        return self._common(name) | {
            "choices": [choice],
            "usage": result.usage,
            "copylens": result.copylens,
        }

    def chunk(self, text: str | None, finish: str | None = None, **more: Any) -> bytes:
        """A chunk of the streamed response, as a server-sent event.

        Args:
            text: None = no text was added.
            more: further fields of the chunk.
        """
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        if self.kind == "chat":
            choice["delta"] = {} if text is None else {"content": text}
        else:
            choice["text"] = text or ""
        return self._event({"choices": [choice], **more})

    def opening(self) -> bytes:
        """The first chunk of a chat, which has the role; a completion has no such chunk."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._event({"choices": [choice]})

    def usage(self, usage: dict[str, int]) -> bytes:
        """The chunk after the last choice, where `include_usage` was requested."""
        return self._event({"choices": [], "usage": usage})

    def _event(self, fields: dict[str, Any]) -> bytes:
        name = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        return _data_event(self._common(name) | fields)

    def _common(self, name: str) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}


async def chunks(
    response: ResponseBuilder, events: AsyncIterator[Event], with_usage: bool
) -> AsyncIterator[bytes]:
    """The streamed response; an error event ends it with an error in OpenAI's form."""
    result = GenerationResult()
    if response.kind == "chat":
        yield response.opening()
    async for event in events:
        result.add(event)
        if event.name == "token":
            yield response.chunk(event.data["text"])
        elif event.name == "flag":
            yield response.chunk(None, copylens={"flag": event.data})
        elif event.name == "error":
            yield _data_event(error_from_event(event.data).body())
            return
        elif event.name == "done":
            yield response.chunk(None, result.finish, copylens=result.copylens)
            if with_usage:
                yield response.usage(result.usage)
    yield format_sse_event(data_str="[DONE]")


def _data_event(data: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(data, ensure_ascii=False))


def model_list(card: ModelCard | None, created: int) -> dict[str, Any]:
    """`GET /v1/models`: the LM, with the scorer of its texts; an empty list without an LM."""
    if card is None:
        return {"object": "list", "data": []}
    model = {
        "id": card.id,
        "object": "model",
        "created": created,
        "owned_by": "copylens",
        "context": card.context,
        "copylens": {"scorer": card.scorer, "version": card.version},
    }
    return {"object": "list", "data": [model]}
