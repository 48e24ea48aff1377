"""OpenAI-compatible request bodies: which fields are used, ignored and refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from serve.http.errors import RequestError, first_validation_error
from serve.replica.generation import (
    MAX_PROMPT,
    MAX_SEED,
    MAX_TOKENS,
    WHOLE,
    Count,
    GenerateRequest,
    MonitorOptions,
    Number,
    Prompt,
)

# Unsupported fields, and the values with which they have no effect, so that they are accepted.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}


def _refusals(schema: dict[str, Any]) -> None:
    """Adds the unsupported fields to /openapi.json, restricted to values without effect."""
    for name, harmless in _REFUSED.items():
        schema["properties"][name] = {"enum": [None, *harmless]}


class StreamOptions(BaseModel):
    """Options of a streamed response."""

    include_usage: StrictBool = False


class _Common(BaseModel):
    """Fields of both endpoints; unknown fields are ignored."""

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, json_schema_extra=_refusals
    )

    model: str | None = Field(default=None, description="null = the LM that is served")
    max_tokens: Count | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, WHOLE] | None = None
    stop: str | Annotated[tuple[str, ...], Field(max_length=16)] | None = None
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    copylens: MonitorOptions = MonitorOptions()

    @property
    def with_usage(self) -> bool:
        """Whether a streamed response ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def _request(self, most: int, **beginning: Any) -> GenerateRequest:
        """As a GenerateRequest; `most`: default of max_tokens."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        asked = {
            **beginning,
            **self.copylens.model_dump(),
            "max_tokens": min(self.max_tokens or most, MAX_TOKENS),
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "seed": None if self.seed is None else self.seed % MAX_SEED,
            "stop": stop,
        }
        try:
            return GenerateRequest.model_validate(asked)
        except ValidationError as error:
            place, reason = first_validation_error(error.errors())
            raise RequestError(400, "invalid", f"{place}: {reason}", param=place) from None


class CompletionBody(_Common):
    """`POST /v1/completions`."""

    prompt: (
        Prompt
        | Annotated[tuple[Prompt, ...], Field(json_schema_extra={"minItems": 1, "maxItems": 1})]
    ) = Field(examples=["The old captain said"])

    def request(self) -> GenerateRequest:
        """As a GenerateRequest; OpenAI's default is 16 tokens.

        Raises:
            RequestError: several prompts.
        """
        prompts = (self.prompt,) if isinstance(self.prompt, str) else self.prompt
        if len(prompts) != 1:
            line = f"prompt: one text per request, got {len(prompts)}"
            raise RequestError(400, "invalid", line, param="prompt")
        return self._request(16, prompt=prompts[0])


class TextPart(BaseModel):
    """A text part of a message; other kinds of parts are refused."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_PROMPT)


class ChatMessage(BaseModel):
    """One message of a chat; fields such as `name` are ignored."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_PROMPT)] | tuple[TextPart, ...]

    def plain(self) -> dict[str, str]:
        """As a `Message`, with its parts joined."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ChatBody(_Common):
    """`POST /v1/chat/completions`."""

    messages: tuple[ChatMessage, ...] = Field(
        min_length=1,
        max_length=1000,
        examples=[[{"role": "user", "content": "Tell me of the sea."}]],
    )
    max_completion_tokens: Count | None = None

    def request(self) -> GenerateRequest:
        """As a GenerateRequest; without a limit the LM's context is the limit."""
        most = self.max_completion_tokens or MAX_TOKENS
        return self._request(most, messages=[item.plain() for item in self.messages])


def refuse_unsupported(body: _Common) -> None:
    """Refuses a body with an unsupported field.

    Raises:
        RequestError: names the first such field.
    """
    given = body.model_extra or {}
    for name, harmless in _REFUSED.items():
        value = given.get(name)
        if value is None or any(_equal_in_json(value, item) for item in harmless):
            continue
        shown = repr(value)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        line = f"{name}={shown} is not supported here; leave it out"
        raise RequestError(400, "unsupported", line, param=name)


def _equal_in_json(value: Any, harmless: Any) -> bool:
    """Equality of JSON values, in which true is not 1."""
    return value == harmless and isinstance(value, bool) == isinstance(harmless, bool)
