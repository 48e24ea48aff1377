"""A generation on the machine that holds the LM: a request in, its events out."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from copylens.errors import ConfigError, CopyLensError, TextError
from copylens.generation.flags import Block, BlockingPolicy, Flag, block_sources, known_sources
from copylens.generation.live import LiveStep, generate
from copylens.probe.writer import prompt_tokens
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer
from serve.api.policy import Policy, ends_text
from serve.replica.generation import BlockRule, Event, GenerateRequest, error_event

_CHAT_STOP = "\nuser:"  # where a plain transcript would go on with the other side's turn
_log = logging.getLogger(__name__)


def write_events(scorer: Scorer, request: GenerateRequest, policy: Policy) -> Iterator[Event]:
    """Runs one generation; whatever goes wrong is its last event.

    Args:
        policy: the service's own; the request's rule comes on top.
    """
    try:
        yield from _write(scorer, request, policy)
    except CopyLensError as error:
        yield error_event(422, "cannot_write", str(error))
    except Exception:
        _log.exception("a generation failed")
        line = "the generation failed for a reason of ours"
        yield error_event(500, "internal", line, "see the service's log")


def _write(scorer: Scorer, request: GenerateRequest, policy: Policy) -> Iterator[Event]:
    if request.block is not None:
        try:
            known_sources(request.block.sub_datasets, scorer.rights)
        except ConfigError as error:
            yield error_event(404, "no_such_sub_dataset", str(error))
            return
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
        policy=_both(ends_text(policy), request.block),
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


def _both(service: BlockingPolicy, rule: BlockRule | None) -> BlockingPolicy:
    """The service's policy first, then the request's rule."""
    if rule is None:
        return service
    asked = block_sources(rule.sub_datasets, rule.share)

    def first(verdict: Verdict, flag: Flag | None) -> Block | None:
        return service(verdict, flag) or asked(verdict, flag)

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
