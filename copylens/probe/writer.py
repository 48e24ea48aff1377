"""The LM writes: tokens are drawn one by one, with keys and values cached, under a state stream."""

from contextlib import nullcontext

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from copylens.errors import ConfigError, ProbeError, TextError
from copylens.probe.lm import LanguageModel
from copylens.probe.stream import StateStream

# Below it logits over temperature leave float32, and the likeliest token has all of the weight.
_GREEDY = 1e-6


class Writer:
    """Draws the next token of a text again and again; the same seed draws the same text.

    A token is known before the LM reads it. It is read when the next one is drawn, or earlier by
    `catch_up`, where its state is wanted at once.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: list[int],
        stream: StateStream | None,
        temperature: float = 0.8,
        top_p: float = 1.0,
        seed: int = 0,
    ):
        """Nothing is computed yet.

        Args:
            prompt: token ids, at least one.
            stream: records the states of the passes; None = none are recorded.
            temperature: >= 0; smaller = closer to the likeliest words, 0 = always the likeliest.
            top_p: in (0, 1]; the least likely tokens that together have no more than 1 - top_p
                are never drawn.

        Raises:
            ConfigError: temperature or top_p are outside their range.
        """
        if not temperature >= 0:
            raise ConfigError(f"temperature must be >= 0, got {temperature}")
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {top_p}")
        self._lm, self._stream = lm, stream
        self._temperature = temperature
        self._warpers = LogitsProcessorList(
            [TemperatureLogitsWarper(max(float(temperature), _GREEDY))]
        )
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(top_p))
        self._generator = torch.Generator().manual_seed(seed)
        self._unread = prompt
        self._past = None
        self._logits = torch.zeros(0)

    def draw(self) -> int:
        """The next token."""
        self.catch_up()
        token = self._choose(self._logits)
        self._unread = [token]
        return token

    def is_end(self, token: int) -> bool:
        """Whether it is the end-of-text token."""
        return bool(token == self._lm.tokenizer.eos_token_id)

    @torch.inference_mode()
    def catch_up(self) -> None:
        """Lets the LM read what it has not read yet."""
        if not self._unread:
            return
        feed = torch.tensor([self._unread], device=self._lm.device)
        with nullcontext() if self._stream is None else self._stream.listening():
            output = self._lm.model(input_ids=feed, past_key_values=self._past, use_cache=True)
        self._past = output.past_key_values
        self._logits = output.logits[0, -1]
        self._unread = []

    @torch.inference_mode()
    def _choose(self, logits: torch.Tensor) -> int:
        if self._temperature < _GREEDY:
            return int(logits.argmax())
        scores = self._warpers(torch.zeros(1, 0, dtype=torch.long), logits[None].float().cpu())
        probabilities = torch.softmax(scores[0], dim=0)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def prompt_tokens(lm: LanguageModel, prompt: str) -> list[int]:
    """Ids of a prompt, the tokenizer's prefix first.

    At least half of the context is left to write in: of a longer prompt the end is read.

    Raises:
        TextError: the prompt is empty, blank, or gives no token.
        ProbeError: the LM is an encoder, which cannot write.
    """
    if not prompt.strip():
        raise TextError("the prompt is empty; give at least one word")
    if not lm.architecture.causal:
        raise ProbeError("the LM is an encoder and cannot write; set probe.model to a causal one")
    ids = lm.tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    if not len(ids):
        raise TextError("the prompt holds nothing that the LM's tokenizer knows")
    size = len(lm.prefix)
    # A chat template may write the prefix itself.
    if tuple(ids[:size]) == lm.prefix:
        ids = ids[size:]
    room = max(1, lm.context // 2 - size)
    return [*lm.prefix, *ids[-room:]]
