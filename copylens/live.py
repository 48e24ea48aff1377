"""Verdicts while the LM writes: the text grows, and so does what can be said of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from copylens.errors import ProbeError, TextError
from copylens.records import Verdict
from copylens.scorer import Scorer


@dataclass(frozen=True)
class LiveStep:
    """What the LM has just written.

    Attributes:
        piece: characters added since the step before.
        text: all that the LM has written so far, without the prompt.
        verdict: of `text`; None at the steps in between, where nothing was scored.
    """

    piece: str
    text: str
    verdict: Verdict | None


def generate(
    scorer: Scorer,
    prompt: str,
    max_tokens: int = 200,
    every: int = 32,
    temperature: float = 0.8,
    seed: int = 0,
) -> Iterator[LiveStep]:
    """Lets the probe LM continue a prompt, and scores what it has written every few tokens.

    The prompt is the user's, so it is not scored. The last step always carries a verdict, unless
    the LM wrote nothing but blanks.

    Args:
        every: tokens between two verdicts.
        temperature: > 0; smaller = closer to the likeliest words.

    Raises:
        TextError: the prompt is empty.
        ProbeError: the LM is an encoder, which cannot write.
    """
    if not prompt.strip():
        raise TextError("the prompt is empty; give at least one word")
    lm = scorer.probe.lm
    if not lm.architecture.causal:
        raise ProbeError(f"'{scorer.config.probe.model}' is an encoder and cannot write")
    # Room for at least half of the context; what it has read longest ago is dropped.
    ids = list(lm.tokenizer(prompt)["input_ids"])[-lm.context // 2 :]
    written: list[int] = []
    text = ""
    for token in _sample(scorer, ids, max_tokens, temperature, seed):
        written.append(token)
        longer = str(lm.tokenizer.decode(written, skip_special_tokens=True))
        # A character cut in half decodes to a mark of replacement until its rest arrives.
        piece = "" if longer.endswith("\ufffd") else longer[len(text) :]
        text += piece
        due = len(written) % every == 0 and bool(text.strip())
        yield LiveStep(piece, text, scorer.verdicts([text])[0] if due else None)
    if text.strip() and len(written) % every != 0:
        yield LiveStep("", text, scorer.verdicts([text])[0])


def _sample(
    scorer: Scorer, ids: list[int], count: int, temperature: float, seed: int
) -> Iterator[int]:
    """Draws tokens one by one, with the key-value cache on, until the end token or `count`."""
    lm = scorer.probe.lm
    generator = torch.Generator().manual_seed(seed)
    past = None
    feed = torch.tensor([ids], device=lm.device)
    for _ in range(min(count, lm.context - len(ids))):
        with torch.inference_mode():
            output = lm.model(input_ids=feed, past_key_values=past, use_cache=True)
        past = output.past_key_values
        probabilities = torch.softmax(output.logits[0, -1].float() / temperature, dim=0).cpu()
        token = int(torch.multinomial(probabilities, 1, generator=generator))
        if token == lm.tokenizer.eos_token_id:
            return
        yield token
        feed = torch.tensor([[token]], device=lm.device)
