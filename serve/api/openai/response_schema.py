"""OpenAI's answers, as /openapi.json shows them; `serve.api.openai.responses` makes them."""

from typing import Any, Literal

from pydantic import Field

from serve.api.schema import Out, VerdictOut

Finish = Literal["stop", "length", "content_filter"]


class Usage(Out):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class FlagOut(Out):
    """A flag that was raised while the LM wrote."""

    decision: str
    sub_dataset: str | None
    holder: str | None
    share: float
    p_value: float
    tokens: int


class BlockOut(Out):
    """Why a text was ended."""

    reason: str
    sub_dataset: str | None
    holder: str | None


class Watched(Out):
    """What CopyLens adds to OpenAI's answers."""

    verdict: VerdictOut | None = Field(description="null: the text is blank")
    flags: list[FlagOut]
    blocked: BlockOut | None
    seed: int | None


class CompletionChoice(Out):
    """The one text."""

    index: int
    text: str = Field(description="empty where it was blocked")
    logprobs: None
    finish_reason: Finish


class ChatMessageOut(Out):
    """The one message."""

    role: Literal["assistant"]
    content: str = Field(description="empty where it was blocked")
    refusal: None


class ChatChoice(Out):
    """The one answer."""

    index: int
    message: ChatMessageOut
    logprobs: None
    finish_reason: Finish


class _Answer(Out):
    id: str
    created: int
    model: str
    usage: Usage
    copylens: Watched


class CompletionOut(_Answer):
    """`POST /v1/completions`, not streamed."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ChatOut(_Answer):
    """`POST /v1/chat/completions`, not streamed."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class LanguageModelOut(Out):
    """The LM that writes."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context: int = Field(description="longest input and output together, in tokens")
    copylens: dict[str, Any] = Field(examples=[{"scorer": "copylens", "version": "7"}])


class ModelsOut(Out):
    """`GET /v1/models`: a list of one."""

    object: Literal["list"]
    data: list[LanguageModelOut]
