"""Events of a generation -> OpenAI's answers, whole or in chunks.

Beside OpenAI's fields each answer has `copylens`: the verdict on the text, the flags that were
raised, why it was blocked, and the seed. In a stream a flag comes in a chunk without text as soon
as it is raised, the rest with the last choice. A blocked text ends with `content_filter`; an
answer that is not streamed then holds none of the text.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from serve.http.errors import broken_off
from serve.replica.generation import Event, ModelCard

Kind = Literal["completion", "chat"]

_FINISH = {"stop": "stop", "length": "length", "blocked": "content_filter"}
_PREFIX = {"completion": "cmpl", "chat": "chatcmpl"}
DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Answer:
    """The fields that all parts of one answer share."""

    kind: Kind
    model: str
    id: str
    created: int

    @classmethod
    def new(cls, kind: Kind, model: str) -> "Answer":
        """With a fresh id, now."""
        return cls(kind, model, f"{_PREFIX[kind]}-{uuid.uuid4().hex}", int(time.time()))

    def whole(self, told: "Told") -> dict[str, Any]:
        """The answer that is not streamed."""
        text = "" if told.finish == "content_filter" else told.text
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": told.finish}
        if self.kind == "chat":
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        name = "chat.completion" if self.kind == "chat" else "text_completion"
        return self._head(name) | {
            "choices": [choice],
            "usage": told.usage,
            "copylens": told.copylens,
        }

    def chunk(self, text: str | None, finish: str | None = None, **more: Any) -> str:
        """A part of the streamed answer, as a server-sent event.

        Args:
            text: None = nothing was added.
            more: further fields of the chunk.
        """
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        if self.kind == "chat":
            choice["delta"] = {} if text is None else {"content": text}
        else:
            choice["text"] = text or ""
        return self._event({"choices": [choice], **more})

    def opening(self) -> str:
        """A chat's first chunk, which says whose turn it is; a completion has none."""
        if self.kind != "chat":
            return ""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._event({"choices": [choice]})

    def usage(self, usage: dict[str, int]) -> str:
        """The chunk after the last choice, for those who asked for it."""
        return self._event({"choices": [], "usage": usage})

    def _event(self, fields: dict[str, Any]) -> str:
        name = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        return f"data: {json.dumps(self._head(name) | fields, ensure_ascii=False)}\n\n"

    def _head(self, name: str) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}


@dataclass
class Told:
    """All that the events of a generation told."""

    text: str = ""
    finish: str = "stop"
    usage: dict[str, int] = field(default_factory=dict)
    copylens: dict[str, Any] = field(
        default_factory=lambda: {"verdict": None, "flags": [], "blocked": None, "seed": None}
    )

    def take(self, event: Event) -> None:
        """One more event."""
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


async def chunks(
    answer: Answer, events: AsyncIterator[Event], with_usage: bool
) -> AsyncIterator[str]:
    """The streamed answer; an error ends it in OpenAI's shape."""
    told = Told()
    if answer.kind == "chat":
        yield answer.opening()
    async for event in events:
        told.take(event)
        if event.name == "token":
            yield answer.chunk(event.data["text"])
        elif event.name == "flag":
            yield answer.chunk(None, copylens={"flag": event.data})
        elif event.name == "error":
            yield f"data: {json.dumps(broken_off(event.data).body())}\n\n"
            return
        elif event.name == "done":
            yield answer.chunk(None, told.finish, copylens=told.copylens)
            if with_usage:
                yield answer.usage(told.usage)
    yield DONE


def model_list(card: ModelCard, created: int) -> dict[str, Any]:
    """`GET /v1/models`: the one LM, with the scorer that watches it."""
    model = {
        "id": card.id,
        "object": "model",
        "created": created,
        "owned_by": "copylens",
        "context": card.context,
        "copylens": {"scorer": card.scorer, "version": card.version},
    }
    return {"object": "list", "data": [model]}
