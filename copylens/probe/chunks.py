"""Texts -> token chunks that fit the LM, and batches of chunks of like length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from copylens.errors import TextError
from copylens.probe.lm import LanguageModel
from copylens.records import IntArray


@dataclass(frozen=True)
class Chunk:
    """One forward pass' worth of a text.

    Attributes:
        text: index of the text in the request.
        ids: token ids, special tokens included.
        keep: positions [start, end) whose states count. Earlier ones are special tokens or
            context that another chunk already gave states for.
        first: index in the text of the first kept token.
    """

    text: int
    ids: tuple[int, ...]
    keep: tuple[int, int]
    first: int


@dataclass(frozen=True)
class Tokens:
    """A text's tokens without special ones; offsets [T, 2] are characters, end exclusive."""

    ids: tuple[int, ...]
    offsets: IntArray


def tokenize(lm: LanguageModel, texts: Sequence[str]) -> list[Tokens]:
    """Token ids and character offsets of each text.

    Raises:
        TextError: a text is empty, blank, or gives no token.
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise TextError(f"text {number} is empty; give at least one word")
    # `verbose=False`: a text longer than the context is cut into chunks here, no need to warn.
    encoded = lm.tokenizer(
        list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    for number, ids in enumerate(encoded["input_ids"]):
        if not len(ids):
            raise TextError(f"text {number} holds nothing that the LM's tokenizer knows")
    return [
        Tokens(tuple(ids), np.asarray(offsets, dtype=np.int32).reshape(-1, 2))
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"])
    ]


def split_chunks(lm: LanguageModel, text: int, tokens: Tokens, window: int) -> list[Chunk]:
    """Cuts a text's tokens into overlapping chunks so that each token is kept exactly once.

    A later chunk repeats a quarter of the context as a run-up whose states are thrown away, so
    that no kept token lacks a left context. Borders fall on multiples of the window.
    """
    room = lm.context - len(lm.prefix) - len(lm.suffix)
    room -= room % window
    overlap = (room // 4) - (room // 4) % window
    chunks: list[Chunk] = []
    start = 0
    while True:
        run_up = overlap if start else 0
        body = tokens.ids[start - run_up : start - run_up + room]
        ids = (*lm.prefix, *body, *lm.suffix)
        kept_from = len(lm.prefix) + run_up
        chunks.append(Chunk(text, ids, (kept_from, len(lm.prefix) + len(body)), start))
        start += len(body) - run_up
        if start >= len(tokens.ids):
            return chunks


def batches(
    lm: LanguageModel, tokens: Sequence[Tokens], window: int, batch_tokens: int
) -> Iterator[list[Chunk]]:
    """Chunks of all texts, grouped by length: rows x longest row stays within `batch_tokens`."""
    chunks = [c for n, item in enumerate(tokens) for c in split_chunks(lm, n, item, window)]
    batch: list[Chunk] = []
    # Longest first: a batch that does not fit in memory fails at once, not after an hour.
    for chunk in sorted(chunks, key=lambda c: (-len(c.ids), c.text, c.first)):
        if batch and (len(batch) + 1) * len(batch[0].ids) > batch_tokens:
            yield batch
            batch = []
        batch.append(chunk)
    if batch:
        yield batch


def padded(batch: Sequence[Chunk], lm: LanguageModel) -> tuple[Tensor, Tensor]:
    """Right-padded ids and mask, both [B, T]. Causal masks make the padding invisible."""
    rows = [torch.tensor(chunk.ids) for chunk in batch]
    ids = pad_sequence(rows, batch_first=True, padding_value=lm.tokenizer.pad_token_id or 0)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return ids.to(lm.device), mask.to(lm.device)
