"""The OpenAI-compatible bodies: what is understood, what is ignored, and what is refused."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.generation import (
    MAX_PROMPT,
    MAX_TOKENS,
    BodyError,
    GenerateRequest,
    Watching,
    parse,
)

# Fields that ask for something else than one plain text, and values of them that ask for nothing.
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


class StreamOptions(BaseModel):
    """Of a streamed answer."""

    include_usage: bool = False


class _Common(BaseModel):
    """What both endpoints share; fields that are not named here are ignored."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    copylens: Watching = Watching()

    @property
    def with_usage(self) -> bool:
        """Whether a streamed answer ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def _request(self, most: int, **beginning: Any) -> GenerateRequest:
        """Ours; `most` is the default of max_tokens."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        asked = {
            **beginning,
            **self.copylens.model_dump(),
            "max_tokens": min(self.max_tokens or most, MAX_TOKENS),
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "seed": None if self.seed is None else self.seed % 2**63,
            "stop": stop,
        }
        return parse(GenerateRequest, asked)


class CompletionBody(_Common):
    """`POST /v1/completions`."""

    prompt: str | tuple[str, ...] = Field(max_length=MAX_PROMPT)

    def request(self) -> GenerateRequest:
        """The same as our own request; OpenAI's default is 16 tokens.

        Raises:
            BodyError: several prompts.
        """
        prompts = (self.prompt,) if isinstance(self.prompt, str) else self.prompt
        if len(prompts) != 1:
            raise BodyError(f"prompt: one text per request, got {len(prompts)}", "prompt")
        return self._request(16, prompt=prompts[0])


class TextPart(BaseModel):
    """A part of a message's content; other kinds of parts are refused."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn; fields such as `name` are ignored."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[TextPart, ...]

    def plain(self) -> dict[str, str]:
        """As our own `Message`, with its parts joined."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ChatBody(_Common):
    """`POST /v1/chat/completions`."""

    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(default=None, ge=1)

    def request(self) -> GenerateRequest:
        """The same as our own request; without a limit the LM's context is the limit."""
        most = self.max_completion_tokens or MAX_TOKENS
        return self._request(most, messages=[item.plain() for item in self.messages])


def refuse_unsupported(body: Any) -> None:
    """One line about the first field that asks for what this service does not do.

    Raises:
        BodyError: there is such a field.
    """
    if not isinstance(body, dict):
        raise BodyError("the body must be a JSON object", "body")
    for name, harmless in _REFUSED.items():
        value = body.get(name)
        if value is None or any(value == item for item in harmless):
            continue
        shown = repr(value)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        raise BodyError(f"{name}={shown} is not supported here; leave it out", name)
