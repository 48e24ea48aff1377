"""Requests and events of a monitored text generation, and the protocol of its backends.

Independent of web framework, cluster and model. A `GenerationBackend` turns a `GenerateRequest`
into events: `LocalGenerationBackend` in this process, `RayGenerationBackend` on a replica.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from serve.api.policy import ContentPolicy

EventName = Literal["token", "shares", "flag", "blocked", "verdict", "done", "error"]

MAX_TOKENS, MAX_PROMPT = 4096, 200_000
# Larger integers are not exact in JSON parsers that use doubles.
MAX_SEED = 2**53

# Name of a registered sub-dataset; bounded, since a refusal repeats an unknown one.
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _word(text: str) -> str:
    if not text.strip():
        raise ValueError("give at least one word")
    return text


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError("give a number")
    return value


Prompt = Annotated[
    str,
    Field(min_length=1, max_length=MAX_PROMPT, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_word),
]
# Integers as in JSON: 5.0 is valid, "5" and true are not. Bounds stand before it in an Annotated:
# after it, /openapi.json would not show them.
WHOLE = BeforeValidator(_number)
Count = Annotated[int, Field(ge=1), WHOLE]
Number = Annotated[float, Field(strict=True)]
Level = Annotated[Number, Field(gt=0, lt=1)]


class StrictBody(BaseModel):
    """A request body in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BlockRule(StrictBody):
    """Ends the generation once its text is flagged as drawing on one of these sub-datasets."""

    sub_datasets: tuple[Name, ...] = Field(default=(), description="empty = any registered one")
    share: Number = Field(default=0.5, ge=0, le=1, description="least share of the sub-dataset")


class Message(StrictBody):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=MAX_PROMPT)


class MonitorOptions(StrictBody):
    """How often a generation is scored, and what raises a flag or ends it."""

    every: Annotated[int, Field(ge=1, le=MAX_TOKENS), WHOLE] = Field(
        default=64, description="tokens before the first verdict"
    )
    confirm: Annotated[int, Field(ge=1, le=16), WHOLE] = Field(
        default=2, description="verdicts in a row that raise a flag"
    )
    alpha: Level | None = Field(
        default=None, description="false-alarm level; above the `smallest_p` of /v1/registry"
    )
    block: BlockRule | None = Field(default=None, description="null = the service's policy only")


class GenerateRequest(MonitorOptions):
    """`POST /v1/generate`: a prompt or a chat, sampling options, and monitoring options."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["prompt"],
                    "properties": {"prompt": {"type": "string"}, "messages": {"maxItems": 0}},
                },
                {
                    "required": ["messages"],
                    "properties": {"prompt": {"type": "null"}, "messages": {"minItems": 1}},
                },
            ],
            "examples": [
                {"prompt": "The old captain said", "max_tokens": 64, "seed": 7},
                {
                    "messages": [{"role": "user", "content": "Tell me of the sea."}],
                    "block": {"sub_datasets": ["novels"], "share": 0.5},
                },
            ],
        }
    )

    prompt: Prompt | None = None
    messages: tuple[Message, ...] = Field(default=(), max_length=1000)
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), WHOLE] = 200
    temperature: Number = Field(default=0.8, ge=0, le=10, description="0 = always the likeliest")
    top_p: Number = Field(default=1.0, gt=0, le=1)
    seed: Annotated[int, Field(ge=0, lt=MAX_SEED), WHOLE] | None = Field(
        default=None, description="the same gives the same text; null = any"
    )
    stop: tuple[str, ...] = Field(default=(), max_length=16)

    @model_validator(mode="after")
    def _one_beginning(self) -> "GenerateRequest":
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either prompt or messages")
        return self


@dataclass(frozen=True)
class Event:
    """An event of a generation.

    - token {text, tokens}: characters added; tokens written so far.
    - shares {tokens, decision, abstain_reason, p_value, ood_score, unregistered, shares: {name:
      share}, quoted: {name: part of the share}}: a running verdict.
    - flag {decision, sub_dataset, holder, share, p_value, tokens}: see
      `copylens.generation.flags.Flag`.
    - blocked {reason, sub_dataset, holder}: the text ends here.
    - verdict: on the whole text; none where the text is blank.
    - done {finish, seed, usage}: last. `finish` is stop, length or blocked.
    - error {status, code, message, hint}: last; the generation has failed.
    """

    name: EventName
    data: dict[str, Any]


@dataclass(frozen=True)
class ModelCard:
    """The LM of a backend, and the scorer of its texts."""

    id: str
    context: int
    scorer: str
    version: str


class GenerationBackend(Protocol):
    """What the routes need of the process that holds LM and scorer."""

    def stream(self, request: GenerateRequest, policy: ContentPolicy) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator ends it.

        Args:
            policy: the service's; applied together with the request's own block rule.
        """
        ...

    async def card(self) -> ModelCard | None:
        """The one LM that is served; None where the model was trained without one."""
        ...


def error_event(status: int, code: str, message: str, hint: str | None = None) -> Event:
    """The last event of a generation that failed."""
    return Event("error", {"status": status, "code": code, "message": message, "hint": hint})
