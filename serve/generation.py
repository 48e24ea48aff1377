"""What a text generation is asked for and what it tells: requests, events, and how they travel.

Nothing here knows a web framework, a cluster or a model. A backend is whatever turns a
`GenerateRequest` into events: `LocalBackend` does so in this process; a Ray Serve handle does so
on a replica.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from copylens.errors import CopyLensError

EventName = Literal["token", "shares", "flag", "blocked", "verdict", "done", "error"]

MAX_TOKENS, MAX_PROMPT = 4096, 200_000
_M = TypeVar("_M", bound=BaseModel)


class BodyError(CopyLensError):
    """A request's body is wrong. `param`: the field, "" for the whole body."""

    def __init__(self, message: str, param: str = ""):
        super().__init__(message)
        self.param = param


def parse(form: type[_M], body: Any) -> _M:
    """The body in its form; an error names the field and the rule, not the value.

    Raises:
        BodyError: one line about the first mistake.
    """
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise BodyError(f"{place}: {reason}" if place else reason, place) from None


class Closed(BaseModel):
    """A body whose unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BlockRule(Closed):
    """Ends the text once it is flagged as drawing on one of these sources."""

    sub_datasets: tuple[str, ...] = Field(default=(), description="empty = any registered one")
    share: float = Field(default=0.5, ge=0, le=1, description="of the source, at least")


class Message(Closed):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=MAX_PROMPT)


class Watching(Closed):
    """How a generation is watched."""

    every: int = Field(
        default=64, ge=1, le=MAX_TOKENS, description="tokens before the first verdict"
    )
    confirm: int = Field(default=2, ge=1, le=16, description="verdicts in a row that raise a flag")
    alpha: float | None = Field(default=None, gt=0, lt=1, description="false-alarm level")
    block: BlockRule | None = Field(default=None, description="null = only the service's own rule")


class GenerateRequest(Watching):
    """`POST /v1/generate`: a prompt or a chat, how the LM writes, and how it is watched."""

    prompt: str | None = Field(default=None, min_length=1, max_length=MAX_PROMPT)
    messages: tuple[Message, ...] = Field(default=(), max_length=1000)
    max_tokens: int = Field(default=200, ge=1, le=MAX_TOKENS)
    temperature: float = Field(default=0.8, ge=0, le=10, description="0 = always the likeliest")
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="the same gives the same text; null = any"
    )
    stop: tuple[str, ...] = Field(default=(), max_length=16)

    @model_validator(mode="after")
    def _one_beginning(self) -> "GenerateRequest":
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either prompt or messages")
        return self


@dataclass(frozen=True)
class Event:
    """Something that happened while the LM writes.

    - token {text, tokens}: characters added; tokens written so far.
    - shares {tokens, decision, p_value, ood_score, unregistered, shares: {name: share}}: a running
      verdict.
    - flag {decision, sub_dataset, holder, share, p_value, tokens}: see `copylens.flags.Flag`.
    - blocked {reason, sub_dataset, holder}: the text ends here.
    - verdict: on the whole text, as `POST /v1/attribute` gives it; none where the text is blank.
    - done {finish, seed, usage}: last. `finish` is stop, length or blocked.
    - error {message, hint, status}: last, instead of all that would have followed.
    """

    name: EventName
    data: dict[str, Any]


@dataclass(frozen=True)
class ModelCard:
    """The LM behind a backend, and the scorer that watches it."""

    id: str
    context: int
    scorer: str
    version: str


class GenerationBackend(Protocol):
    """What the routes need; the seam to whoever holds LM and scorer."""

    def stream(self, request: GenerateRequest) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator ends it."""
        ...

    async def card(self) -> ModelCard:
        """The one model that is served."""
        ...


def sse(event: Event) -> str:
    """An event as a server-sent event."""
    return f"event: {event.name}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"
