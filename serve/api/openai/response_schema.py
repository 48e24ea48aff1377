"""OpenAI's response bodies for /openapi.json; `serve.api.openai.responses` builds them."""

from typing import Any, Literal

from pydantic import Field

from copylens.generation.flags import Block, Flag
from serve.api.schema import Out, ServedVerdict

Finish = Literal["stop", "length", "content_filter"]


class Usage(Out):
    """Numbers of tokens of the prompt and of the generated text."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CopylensFields(Out):
    """What CopyLens adds to OpenAI's responses."""

    verdict: ServedVerdict | None = Field(description="null: the text is blank")
    flags: list[Flag]
    blocked: Block | None
    seed: int | None


class CompletionChoice(Out):
    """The generated text; there is one choice per response."""

    index: int
    text: str = Field(description="empty where it was blocked")
    logprobs: None
    finish_reason: Finish


class ChatMessageOut(Out):
    """The generated message."""

    role: Literal["assistant"]
    content: str = Field(description="empty where it was blocked")
    refusal: None


class ChatChoice(Out):
    """The generated message; there is one choice per response."""

    index: int
    message: ChatMessageOut
    logprobs: None
    finish_reason: Finish


class _Response(Out):
    id: str
    created: int
    model: str
    usage: Usage
    copylens: CopylensFields


class CompletionOut(_Response):
    """`POST /v1/completions`, not streamed."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ChatOut(_Response):
    """`POST /v1/chat/completions`, not streamed."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class LanguageModelOut(Out):
    """The LM that generates."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context: int = Field(description="longest prompt and generated text together, in tokens")
    copylens: dict[str, Any] = Field(examples=[{"scorer": "copylens", "version": "7"}])


class ModelsOut(Out):
    """`GET /v1/models`: a list of one."""

    object: Literal["list"]
    data: list[LanguageModelOut]
