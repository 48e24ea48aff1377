"""Which words are names: a record of capitals, learned from the training texts.

Characters' names give a known book away and mislead on the author's next one. So one view of a
text hides them, and with them the words that one split group alone uses.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from copylens.records import IntArray
from copylens.store.arrays import Arrays, from_words, to_words
from copylens.text import TOKEN

_SENTENCE_EDGE = frozenset('.!?":;-')
# Upper case: no lower-cased word can equal them.
_NAME, _RARE = "X", "R"


@dataclass(frozen=True)
class NameRecord:
    """What the training texts say of each word's capitals.

    Attributes:
        common: words seen in lower case more than three times as often as capitalised inside a
            sentence: no names even with a capital there.
        opening: words seen in lower case more often than capitalised inside a sentence: no names
            where a sentence opens with them. Holds all of `common`.
        shared: tokens that at least two split groups use, names hidden.
    """

    common: frozenset[str]
    opening: frozenset[str]
    shared: frozenset[str]

    @classmethod
    def learn(cls, texts: Sequence[str], groups: IntArray, min_groups: int = 2) -> "NameRecord":
        """Counts capitals over the texts, then which tokens the groups [N] share."""
        capital: Counter[str] = Counter()
        lower: Counter[str] = Counter()
        for text in texts:
            for token, inside in _tokens(text):
                if token[0].islower():
                    lower[token] += 1
                elif inside and token[0].isupper() and len(token) > 1:
                    capital[token.lower()] += 1
        known = cls(
            frozenset(w for w, n in lower.items() if n > 3 * capital[w]),
            frozenset(w for w, n in lower.items() if n > capital[w]),
            frozenset(),
        )
        users: dict[str, set[int]] = defaultdict(set)
        for text, group in zip(texts, groups):
            for token in set(known.names_hidden(text)):
                users[token].add(int(group))
        shared = frozenset(token for token, used in users.items() if len(used) >= min_groups)
        return cls(known.common, known.opening, shared)

    def arrays(self) -> Arrays:
        """Every word set by its name."""
        return {name: from_words(words) for name, words in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "NameRecord":
        """The inverse of `arrays`."""
        return cls(**{name: to_words(array) for name, array in arrays.items()})

    def within(self, texts: Sequence[str]) -> "NameRecord":
        """The same record of words that these texts use, and of no others."""
        used = {token.lower() for text in texts for token in TOKEN.findall(text)} | {_NAME}
        return NameRecord(self.common & used, self.opening & used, self.shared & used)

    def names_hidden(self, text: str) -> list[str]:
        """The text's tokens in lower case, each name replaced by one token."""
        return [
            _NAME if self._is_name(token, inside) else token.lower()
            for token, inside in _tokens(text)
        ]

    def rare_hidden(self, tokens: Sequence[str]) -> list[str]:
        """Words that one group alone uses, or nobody, replaced by one token."""
        return [t if t in self.shared or not t[0].isalpha() else _RARE for t in tokens]

    def _is_name(self, token: str, inside: bool) -> bool:
        word = token.lower()
        if not token[0].isupper() or word == "i" or word.startswith("i'"):
            return False
        # Inside a sentence a capital is evidence; where one opens only the word's record counts.
        return word not in (self.common if inside else self.opening)


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Tokens, and whether each stands inside a sentence."""
    previous = "."
    for token in TOKEN.findall(text):
        yield token, previous not in _SENTENCE_EDGE
        previous = token
