"""Tokens that come one by one -> the text they make, and where each of them lies in it."""

from typing import Any

import numpy as np

from copylens.records import IntArray

_BROKEN = "\ufffd"  # what a decoder writes for bytes that are no whole character
# A character has at most four bytes, so bytes that so many tokens left open are no character.
_PATIENCE = 8


class Detokenizer:
    """Grows a text token by token, at a cost that does not grow with the text.

    A text is not always its tokens' texts in a row: a token may be part of a UTF-8 character, and
    some tokenizers drop or add spaces at the joints. So each token is decoded behind those before
    it, and what the text gains by it is its own.

    Attributes:
        ids: the tokens so far.
        text: their text; a character whose last byte has not come yet is not in it.
    """

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self.ids: list[int] = []
        self.text = ""
        self._spans: list[tuple[int, int]] = []
        # Tokens before `_read` are settled; those from `_from` on are decoded as their context.
        self._from = self._read = 0
        self._known = ""  # decoded: ids[_from:_read]
        self._shown = 0  # characters of the unsettled tokens that are in `text` already

    def add(self, token: int) -> str:
        """Takes the next token; the characters that the text gained by it."""
        start = len(self.text)
        self.ids.append(token)
        gained = self._decode(self._from)[len(self._known) :]
        patient = len(self.ids) - self._read < _PATIENCE
        whole = gained.rstrip(_BROKEN) if patient else gained
        piece = whole[self._shown :]
        self.text += piece
        open_end = len(whole) < len(gained)
        if gained and not open_end:
            self._from, self._read, self._shown = self._read, len(self.ids), 0
            self._known = self._decode(self._from)
        else:
            self._shown = max(self._shown, len(whole))
        # Tokens that share a character all count it as theirs, as fast tokenizers do.
        self._spans.append((start, len(self.text) + open_end))
        return piece

    def offsets(self, count: int) -> IntArray:
        """Characters [start, end) of the first `count` tokens, [count, 2], within `text`."""
        spans = np.array(self._spans[:count], dtype=np.int32).reshape(-1, 2)
        return np.minimum(spans, len(self.text)).astype(np.int32)

    def _decode(self, start: int) -> str:
        return str(self._tokenizer.decode(self.ids[start:], skip_special_tokens=True))
