"""The probe: texts -> states, whatever the LM, the batch size or the length of the texts."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from copylens.config.schema import Fusion, ProbeConfig
from copylens.errors import ProbeError
from copylens.probe.chunks import Chunk, Tokens, batches, padded, tokenize
from copylens.probe.fusion import fuse_layers, random_projection, window_index, window_mean
from copylens.probe.lm import LanguageModel, load_language_model
from copylens.probe.taps import PassDone, Receive, resolve_layers, tapped
from copylens.records import FloatArray, IntArray, States

_FP16_MAX = 65504.0


@dataclass(frozen=True)
class PassRead:
    """What one pass of the LM has read.

    Attributes:
        tokens: without run-ups.
        characters: that so many tokens of these texts have on average. Those with the most tokens
            are read first, and they have the fewest characters a token.
        seconds: that it took.
    """

    tokens: int
    characters: int
    seconds: float

    @classmethod
    def of(cls, batch: Sequence[Chunk], texts: Sequence[Tokens], seconds: float) -> "PassRead":
        """Of a batch of chunks of texts."""
        tokens = sum(chunk.keep[1] - chunk.keep[0] for chunk in batch)
        characters = sum(int(text.offsets[-1, 1]) for text in texts)
        return cls(tokens, round(tokens * characters / sum(len(t.ids) for t in texts)), seconds)


OnPass = Callable[[PassRead], None]


def ignore_pass(read: PassRead) -> None:
    """The default: nothing is told of a pass."""


class Probe:
    """A loaded LM with its taps (Inner-Probe, arXiv 2410.04454, stage 1: MHA results, fused).

    The forward pass runs once per chunk of a text and stops after the last tapped layer.
    """

    def __init__(self, config: ProbeConfig, seed: int = 0, lm: LanguageModel | None = None):
        """Loads the LM unless it is given."""
        self.config = config
        self.lm = lm if lm is not None else load_language_model(config)
        self.layers = resolve_layers(config.layers, self.lm.architecture, config.tap)
        room = self.lm.context - len(self.lm.prefix) - len(self.lm.suffix)
        if config.window > room:
            raise ProbeError(
                f"probe.window={config.window}, but the LM reads {room} tokens at once; "
                f"set probe.window to {room} at most"
            )
        self._seed = seed
        self._projections: dict[int, Tensor] = {}

    def states(self, texts: Sequence[str], on_pass: OnPass = ignore_pass) -> list[States]:
        """States of each text, in the order given.

        A text longer than the context is read in overlapping chunks; each token counts once.

        Args:
            on_pass: called after each pass of the LM with what it has read.

        Returns:
            One `States` per text: values [W, F] fp16, spans [W, 2].

        Raises:
            TextError: a text is empty or blank.
        """
        tokens = tokenize(self.lm, texts)
        parts: list[dict[int, FloatArray]] = [{} for _ in texts]
        start = time.perf_counter()
        for batch in batches(self.lm, tokens, self.config.window, self.config.batch_tokens):
            for chunk, part in zip(batch, self._read(batch)):
                parts[chunk.text][chunk.first] = part
            on_pass(PassRead.of(batch, tokens, time.perf_counter() - start))
            start = time.perf_counter()
        ordered = [[part[first] for first in sorted(part)] for part in parts]
        return [self.assemble(*item) for item in zip(tokens, ordered)]

    def assemble(self, tokens: Tokens, parts: Sequence[FloatArray]) -> States:
        """Joins the values [W, F] of a text's parts, in order."""
        return States(
            values=np.concatenate(parts),
            spans=window_spans(tokens, self.config.window),
            tokens=len(tokens.ids),
        )

    @torch.inference_mode()
    def _read(self, batch: list[Chunk]) -> list[FloatArray]:
        """Runs the LM on one batch; per chunk the windows' values [W, F]."""
        ids, mask = padded(batch, self.lm)
        index = window_index(ids.shape[1], [chunk.keep for chunk in batch], self.config.window)
        windows = int(index.max()) + 1
        index = index.to(ids.device)
        taken: dict[int, Tensor] = {}

        def receive(layer: int, value: Tensor) -> None:
            taken[layer] = window_mean(value, index, windows)  # [B, T, D] -> [B, W, D]

        with self.lm.passing, self.listening(receive, early_exit=True), suppress(PassDone):
            self.lm.forward(ids, mask)
        values = self.fused([taken[layer] for layer in self.layers], ids, index, windows)
        return _split(batch, values, self.config.window)

    def fused(self, blocks: Sequence[Tensor], ids: Tensor, index: Tensor, windows: int) -> Tensor:
        """Values of windows, embeddings first.

        Args:
            blocks: L tensors [B, W, D], the window means of the tapped layers.
            ids: [B, T].
            index: [B, T] window numbers, -1 = ignore.
            windows: W.

        Returns:
            [B, W, F] float32.
        """
        values = fuse_layers(blocks, self.config.fusion, self._project(blocks, self.layers))
        if not self.config.embeddings:
            return values
        words = self.lm.model.get_input_embeddings()(ids)
        block = [window_mean(words, index, windows)]
        fusion: Fusion = "project" if self.config.fusion == "project" else "concat"
        # Layer number -1 seeds the embeddings' own projection.
        first = fuse_layers(block, fusion, self._project(block, (-1,)))
        return torch.cat([first, values], dim=-1)

    def listening(self, receive: Receive, early_exit: bool) -> AbstractContextManager[None]:
        """Hooks on the tapped layers for the time of a `with` block; see `taps.tapped`."""
        lm, config = self.lm, self.config
        return tapped(lm.base, lm.architecture, config.tap, self.layers, receive, early_exit)

    def _project(self, blocks: Sequence[Tensor], layers: Sequence[int]) -> list[Tensor]:
        if self.config.fusion != "project":
            return []
        for block, layer in zip(blocks, layers):
            if layer not in self._projections:
                matrix = random_projection(
                    block.shape[-1], self.config.project_dim, self._seed, layer
                )
                self._projections[layer] = matrix.to(block.device)
        return [self._projections[layer] for layer in layers]


def window_spans(tokens: Tokens, window: int) -> IntArray:
    """Character span [W, 2] of each window, end exclusive."""
    starts = np.arange(0, len(tokens.ids), window)
    first = np.minimum.reduceat(tokens.offsets[:, 0], starts)
    last = np.maximum.reduceat(tokens.offsets[:, 1], starts)
    return np.stack([first, last], axis=1).astype(np.int32)


def stored(values: Tensor) -> Tensor:
    """The same values as they are kept: fp16, on the CPU, too large ones at the largest."""
    return values.float().clamp(-_FP16_MAX, _FP16_MAX).half().cpu()


def _split(batch: Sequence[Chunk], values: Tensor, window: int) -> list[FloatArray]:
    """Cuts the padding windows off and stores as fp16."""
    values = stored(values)
    result = []
    for row, chunk in enumerate(batch):
        W = -(-(chunk.keep[1] - chunk.keep[0]) // window)
        result.append(values[row, :W].numpy())
    return result
