"""A text without its content words: what is left is layout, punctuation and small words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from copylens.store.arrays import Arrays, from_words, to_words
from copylens.text import TOKEN

_PIECE = re.compile(rf"{TOKEN.pattern}|\n")
_FREQUENT = 300


@dataclass(frozen=True)
class Skeleton:
    """Keeps the words that most texts use, and of the others only their shape.

    Attributes:
        frequent: lower-case words that stay as they are.
    """

    frequent: frozenset[str]

    @classmethod
    def learn(cls, texts: Sequence[str]) -> "Skeleton":
        """Takes the words that occur in the most texts."""
        users: Counter[str] = Counter()
        for text in texts:
            users.update({p.lower() for p in _PIECE.findall(text) if p[0].isalpha()})
        ranked = sorted(users, key=lambda word: (-users[word], word))
        return cls(frozenset(ranked[:_FREQUENT]))

    def arrays(self) -> Arrays:
        """The word set by its name."""
        return {"frequent": from_words(self.frequent)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Skeleton":
        """The inverse of `arrays`."""
        return cls(to_words(arrays["frequent"]))

    def within(self, texts: Sequence[str]) -> "Skeleton":
        """Of the frequent words those that these texts use."""
        used = {piece.lower() for text in texts for piece in _PIECE.findall(text)}
        return Skeleton(self.frequent & used)

    def pieces(self, text: str) -> list[str]:
        """The text as words, signs and line ends, content words reduced to shape and ending."""
        return [self._shape(piece) for piece in _PIECE.findall(text)]

    def _shape(self, piece: str) -> str:
        word = piece.lower()
        if word in self.frequent:
            return f"^{word}" if piece[0].isupper() else word
        if piece[0].isdigit():
            return "9" if len(piece) < 4 else "9999"
        if not piece[0].isalpha():
            return piece
        capitals = "A" if piece.isupper() and len(piece) > 1 else "C" if piece[0].isupper() else "c"
        return capitals + word[-2:]
