"""What a text generation is asked for and what it tells: requests, events, and how they travel.

Nothing here knows a web framework or a cluster. A backend is whatever turns a `GenerateRequest`
into events: `LocalBackend` does so in this process; a Ray Serve handle does so on a replica.
"""

import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from copylens.errors import CopyLensError, TextError
from copylens.flags import Block, Flag, Policy, block_sources, known_sources
from copylens.live import LiveStep, generate
from copylens.probe.writer import prompt_tokens
from copylens.records import Verdict
from copylens.scorer import Scorer

EventName = Literal["token", "shares", "flag", "blocked", "verdict", "done", "error"]

MAX_TOKENS, MAX_PROMPT = 4096, 200_000
_CHAT_STOP = "\nuser:"  # where a plain transcript would go on with the other side's turn
_log = logging.getLogger(__name__)
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


def write_events(
    scorer: Scorer, request: GenerateRequest, policy: Policy | None = None
) -> Iterator[Event]:
    """Runs one generation; whatever goes wrong is its last event.

    Args:
        policy: the service's own; the request's rule comes on top.
    """
    try:
        yield from _write(scorer, request, policy)
    except CopyLensError as error:
        yield _error(str(error), 422)
    except Exception:
        _log.exception("a generation failed")
        yield _error("the generation failed for a reason of ours", 500, "see the service's log")


def _error(message: str, status: int, hint: str | None = None) -> Event:
    return Event("error", {"message": message, "hint": hint, "status": status})


def _write(scorer: Scorer, request: GenerateRequest, policy: Policy | None) -> Iterator[Event]:
    if request.block is not None:
        known_sources(request.block.sub_datasets, scorer.rights)
    prompt, stop = prompt_of(scorer.probe.lm.tokenizer, request)
    read = len(prompt_tokens(scorer.probe.lm, prompt))
    seed = secrets.randbits(31) if request.seed is None else request.seed
    steps = generate(
        scorer,
        prompt,
        max_tokens=request.max_tokens,
        every=request.every,
        temperature=request.temperature,
        seed=seed,
        top_p=request.top_p,
        stop=stop,
        policy=_both(policy, request.block),
        confirm=request.confirm,
        alpha=request.alpha,
    )
    for step in steps:
        yield from _events(step)
        if step.finish is not None:
            usage = {
                "prompt_tokens": read,
                "completion_tokens": step.tokens,
                "total_tokens": read + step.tokens,
            }
            yield Event("done", {"finish": step.finish, "seed": seed, "usage": usage})


def _events(step: LiveStep) -> Iterator[Event]:
    if step.piece:
        yield Event("token", {"text": step.piece, "tokens": step.tokens})
    if step.verdict is not None and step.finish is None:
        yield Event("shares", {"tokens": step.tokens, **running(step.verdict)})
    if step.flag is not None:
        yield Event("flag", asdict(step.flag))
    if step.blocked is not None:
        yield Event("blocked", asdict(step.blocked))
    if step.verdict is not None and step.finish is not None:
        yield Event("verdict", step.verdict.to_dict())


def running(verdict: Verdict) -> dict[str, Any]:
    """The part of a running verdict that is worth sending each time."""
    return {
        "decision": verdict.decision,
        "p_value": verdict.p_value,
        "ood_score": verdict.ood_score,
        "unregistered": verdict.unregistered,
        "shares": {item.sub_dataset: item.share for item in verdict.shares},
    }


def _both(policy: Policy | None, rule: BlockRule | None) -> Policy | None:
    """The service's policy first, then the request's rule."""
    asked = None if rule is None else block_sources(rule.sub_datasets, rule.share)
    policies = [item for item in (policy, asked) if item is not None]
    if len(policies) < 2:
        return policies[0] if policies else None

    def first(verdict: Verdict, flag: Flag | None) -> Block | None:
        return policies[0](verdict, flag) or policies[1](verdict, flag)

    return first


def prompt_of(tokenizer: Any, request: GenerateRequest) -> tuple[str, tuple[str, ...]]:
    """The text that the LM goes on from, and where it must stop.

    A chat goes through the tokenizer's own template. A tokenizer without one gets a plain
    transcript: a line `role: content` for each message, then `assistant:`; the answer ends where
    the LM would begin the user's next turn.

    Raises:
        TextError: the template refuses the messages.
    """
    if request.prompt is not None:
        return request.prompt, request.stop
    messages: Sequence[dict[str, str]] = [item.model_dump() for item in request.messages]
    if not getattr(tokenizer, "chat_template", None):
        lines = [f"{item['role']}: {item['content']}\n" for item in messages]
        return "".join(lines) + "assistant:", (*request.stop, _CHAT_STOP)
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TextError(f"the LM's chat template refuses these messages: {reason}") from None
    return str(text), request.stop
