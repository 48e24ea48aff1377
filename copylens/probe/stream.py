"""States of a text while the LM writes it, from the very passes that write it.

`Probe.states` reads a finished text alone. A stream listens to the passes of a generation (one
token each, keys and values cached) and gives the same kind of states without a pass of its own.

Where the two agree: with nothing before the text, or the tokenizer's own prefix alone, they are
equal up to rounding. Where they differ: behind a prompt every token has seen the prompt, so the
states are those of `prompt + text` at the text's positions, with windows that begin at its first
token; and the tokens are those the LM wrote, which re-tokenising the text need not give again.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from copylens.errors import ProbeError
from copylens.probe import probe as states_of
from copylens.probe.chunks import Tokens
from copylens.probe.detokenize import Detokenizer
from copylens.probe.fusion import window_index, window_mean
from copylens.probe.listen import listen
from copylens.probe.probe import Probe
from copylens.records import FloatArray, States

# Tokens whose window is not closed, at most: closing many windows at once is cheap, and tokens
# after the last verdict cost nothing at all.
_WAITING = 512


class StateStream:
    """Accumulates the states of one text, token by token; hooks do nothing but keep references.

    Attributes:
        ids: the text's tokens that a pass has read.
        words: their text; may be ahead of `ids`, since a token is known before it is read.
    """

    def __init__(self, probe: Probe, prompt: int, words: Detokenizer | None = None):
        """Nothing is hooked until `attached`.

        Args:
            prompt: tokens before the text, special ones included; their states are not kept.
            words: a detokenizer that another part of the program feeds already; default: a new one.

        Raises:
            ProbeError: the LM is an encoder.
        """
        if not probe.lm.architecture.causal:
            raise ProbeError(f"'{probe.config.model}' is an encoder and cannot write")
        self._probe = probe
        self._prompt = prompt
        self.words = words if words is not None else Detokenizer(probe.lm.tokenizer)
        self.ids: list[int] = []
        self._seen = 0  # tokens of prompt and text that passes have read
        # Of the pass under way: its tokens, and how many of them belong to the text.
        self._length = self._fresh = 0
        self._listening = False
        self._closed: list[FloatArray] = []  # whole windows, each [1, F]
        # Below: one entry per pass, for tokens whose window is not closed.
        self._taps: list[list[Tensor]] = [[] for _ in probe.layers]  # each [1, t, D]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks the LM for the time of a `with` block; passes count only within `listening`."""
        lm = self._probe.lm
        places = {layer: place for place, layer in enumerate(self._probe.layers)}

        def receive(layer: int, value: Tensor) -> None:
            if self._listening and self._fresh:
                # A view costs as much as the rest of this hook, and mostly the pass is all text.
                part = value if self._fresh == self._length else value[:, -self._fresh :]
                self._taps[places[layer]].append(part)

        with ExitStack() as hooks:
            hooks.enter_context(self._probe.listening(receive, early_exit=False))
            hooks.callback(listen(lm.base, before=self._begin))
            yield

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Passes within the `with` block are taken as the next of this text, in order.

        Each must be of one row and start where the last one ended. Passes of other threads that
        read states from the same LM wait until the block ends, and are not recorded.
        """
        with self._probe.lm.passing:
            self._listening = True
            try:
                yield
            finally:
                self._listening = False
        if len(self.ids) - self._settled > _WAITING:
            self._close_windows()

    def read(self) -> tuple[str, States]:
        """The text of the tokens read so far, and its states; `ids` must not be empty."""
        assert self.ids, "no pass has read a token of the text"
        self._close_windows()
        T = len(self.ids)
        parts = list(self._closed)
        if self._settled < T:
            parts.append(self._part(T - self._settled))
        for token in self.ids[len(self.words.ids) :]:
            self.words.add(token)
        tokens = Tokens(tuple(self.ids), self.words.offsets(T))
        text = self.words.text[: int(tokens.offsets[:, 1].max())]
        return text, self._probe.assemble(tokens, parts)

    @property
    def _settled(self) -> int:
        """Tokens in closed windows."""
        return len(self._closed) * self._probe.config.window

    def _begin(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Sorts a pass's tokens into prompt and text."""
        if not self._listening:
            return
        ids: Tensor = named["input_ids"] if named.get("input_ids") is not None else args[0]
        if ids.shape[0] != 1:
            raise ProbeError(f"a state stream follows one text at a time, got {ids.shape[0]} rows")
        self._length = ids.shape[1]
        self._seen += self._length
        self._fresh = min(self._length, max(0, self._seen - self._prompt))
        if self._fresh:
            self.ids += ids.tolist()[0][-self._fresh :]

    @torch.inference_mode()
    def _close_windows(self) -> None:
        """Turns all whole windows into rows at once and lets their tokens go."""
        w = self._probe.config.window
        whole = (len(self.ids) - self._settled) // w
        if not whole:
            return
        part = self._part(whole * w)
        for values in self._taps:
            values[:] = [torch.cat(values, dim=1)[:, whole * w :].clone()]
        self._closed += [part[n : n + 1] for n in range(whole)]

    @torch.inference_mode()
    def _part(self, T: int) -> FloatArray:
        """The first T of the waiting tokens as windows [W, F]; the last one may be short."""
        probe = self._probe
        first = self._settled
        ids = torch.tensor([self.ids[first : first + T]], device=probe.lm.device)  # [1, T]
        index = window_index(T, [(0, T)], probe.config.window).to(ids.device)
        W = int(index.max()) + 1
        taps = [torch.cat(values, dim=1)[:, :T] for values in self._taps]  # L x [1, T, D]
        blocks = [window_mean(values, index, W) for values in taps]
        values = states_of.stored(probe.fused(blocks, ids, index, W))
        part: FloatArray = values[0].numpy()
        return part
