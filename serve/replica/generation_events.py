"""Runs one generation where the LM is loaded: a request -> its events."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from copylens.errors import ConfigError, CopyLensError, LevelError, TextError
from copylens.generation.flags import Block, BlockingPolicy, Flag, block_sources, known_sources
from copylens.generation.live import LiveStep, generate
from copylens.probe.writer import prompt_tokens
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer
from serve.api.policy import ContentPolicy, blocking_policy
from serve.replica.generation import BlockRule, Event, GenerateRequest, error_event

_CHAT_STOP = "\nuser:"  # start of the user's next turn in a plain transcript
_log = logging.getLogger(__name__)


def write_events(
    scorer: Scorer, request: GenerateRequest, policy: ContentPolicy
) -> Iterator[Event]:
    """Runs one generation; an exception becomes its last event.

    Args:
        policy: the service's; applied together with the request's own block rule.
    """
    try:
        yield from _write(scorer, request, policy)
    except LevelError as error:
        yield error_event(422, "alpha_too_small", str(error))
    except CopyLensError as error:
        yield error_event(422, "cannot_write", str(error))
    except Exception:
        _log.exception("a generation failed")
        line = "the generation failed for a reason of ours"
        yield error_event(500, "internal", line, "see the service's log")


def _write(scorer: Scorer, request: GenerateRequest, policy: ContentPolicy) -> Iterator[Event]:
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
        policy=_both(blocking_policy(policy), request.block),
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
    """The fields of a running verdict that the `shares` event carries."""
    return {
        "decision": verdict.decision,
        "abstain_reason": verdict.abstain_reason,
        "p_value": verdict.p_value,
        "ood_score": verdict.ood_score,
        "unregistered": verdict.unregistered,
        "shares": {item.sub_dataset: item.share for item in verdict.shares},
        "quoted": {item.sub_dataset: item.quoted for item in verdict.shares},
    }


def _both(service: BlockingPolicy, rule: BlockRule | None) -> BlockingPolicy:
    """Applies the service's policy first, then the request's rule."""
    if rule is None:
        return service
    requested = block_sources(rule.sub_datasets, rule.share)

    def combined(verdict: Verdict, flag: Flag | None) -> Block | None:
        return service(verdict, flag) or requested(verdict, flag)

    return combined


def prompt_of(tokenizer: Any, request: GenerateRequest) -> tuple[str, tuple[str, ...]]:
    """The prompt for the LM, and the strings that end its continuation.

    Messages are formatted by the tokenizer's chat template. Without one they become a plain
    transcript: a line `role: content` per message, then `assistant:`; the continuation ends where
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
