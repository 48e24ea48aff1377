"""Quotations planted in texts of others: what a search for evidence has to find."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from copylens.records import Passage

SHORTEST, LONGEST = 20, 200
# Another definition of a word than the index has: it must not be its own judge.
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Planted:
    """A text with a quotation in it.

    Attributes:
        start, end: characters of the quotation in the text.
        original: the quotation before words were changed.
    """

    text: str
    start: int
    end: int
    source: Passage
    original: str


def plant(
    corpus: dict[str, list[Passage]],
    hosts: Sequence[Passage],
    share: float,
    count: int,
    seed: int,
) -> list[Planted]:
    """Quotations of 20 to 200 words, evenly over the sub-datasets, each in a host of another one.

    Args:
        corpus: registered passages by sub-dataset.
        share: of the quotation's words are replaced by random words of the corpus.
    """
    rng = random.Random(f"{seed}:{share}")
    names = sorted(corpus)
    planted: list[Planted] = []
    while len(planted) < count:
        source = rng.choice(corpus[rng.choice(names)])
        host = rng.choice(hosts)
        words = [match.span() for match in _WORD.finditer(source.text)]
        length = rng.randint(SHORTEST, LONGEST)
        if host.sub_dataset == source.sub_dataset or len(words) < length:
            continue
        first = rng.randrange(len(words) - length + 1)
        taken = words[first : first + length]
        original = source.text[taken[0][0] : taken[-1][1]]
        quotation = _change(source.text, taken, share, corpus, rng)
        at = rng.choice([match.start() for match in _WORD.finditer(host.text)])
        text = f"{host.text[:at]}{quotation} {host.text[at:]}"
        planted.append(Planted(text, at, at + len(quotation), source, original))
    return planted


def _change(
    text: str,
    words: list[tuple[int, int]],
    share: float,
    corpus: dict[str, list[Passage]],
    rng: random.Random,
) -> str:
    changed = set(rng.sample(range(len(words)), round(share * len(words))))
    parts, end = [], words[0][0]
    for n, (low, high) in enumerate(words):
        word = text[low:high]
        new = word
        while n in changed and new.lower() == word.lower():
            other = rng.choice(corpus[rng.choice(sorted(corpus))]).text
            new = rng.choice(_WORD.findall(other) or [word])
        parts += [text[end:low], new]
        end = high
    return "".join(parts)


def words_between(text: str, low: int, high: int) -> int:
    """How many words lie between two offsets, whichever is larger."""
    return len(_WORD.findall(text[min(low, high) : max(low, high)]))


class Originals:
    """Tells by plain search over words, without an index, which sub-datasets hold a quotation."""

    def __init__(self, corpus: dict[str, list[Passage]]):
        self._corpus = corpus
        self._plain: dict[str, str] = {}

    def holds(self, sub_dataset: str, quotation: str) -> bool:
        """Whether the quotation stands in a passage of the sub-dataset, word for word."""
        if sub_dataset not in self._plain:
            texts = (_words(p.text) for p in self._corpus[sub_dataset])
            self._plain[sub_dataset] = "\n".join(f" {text} " for text in texts)
        return f" {_words(quotation)} " in self._plain[sub_dataset]


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))
