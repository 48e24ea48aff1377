"""Words, tokens, sentences and n-grams of a text, and views of it without some of them.

Every room takes them from here, so that a word, an n-gram and a masked name are the same thing
everywhere. All views are deterministic; those that draw at random take a seed and mix the text into
it, so that two texts under one seed are not cut alike.
"""

import random
import re
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# Thai to Lao, Myanmar, Khmer; kana; Han: written without spaces between words.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_SPACELESS += "\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W{_SPACELESS}]"

WORD = re.compile(rf"{_LETTER}+(?:[\u0300-\u036f]+{_LETTER}*)*|[{_SPACELESS}]")
"""A run of letters, combining accents, digits and underscores; of scripts written without spaces a
single character."""

TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[^\w\s]|_")
"""A word with inner apostrophes, a number, or a single mark."""

NAME_WORD = "someone"
"""What stands for a masked name: a plain lower-case word, so that it is no name itself."""

UNIT = re.compile(r"[^\W\d_]{1,12}|\d{1,12}|[^\w\s]|_")
"""A word, a number or a mark; a longer run of letters, as in scripts without blanks, is several."""

# The marks between two words that make the second one the first of a sentence ...
_SENTENCE_GAP = re.compile(r"[.!?…][\"'”’)\]]*\s+[\"'“‘(\[*#>-]*$")
# ... or of direct speech: he said, "Come in."
_QUOTE_GAP = re.compile(r"\s[\"“‘]$")
# A full stop after these, or after an initial, ends no sentence: a name follows.
_TITLES = frozenset(
    [
        "Mr",
        "Mrs",
        "Ms",
        "Messrs",
        "Dr",
        "Prof",
        "St",
        "Capt",
        "Col",
        "Gen",
        "Lt",
        "Sgt",
        "Rev",
        "Hon",
    ]
)
_PRONOUN = "I"
SENTENCE_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))\s+")
"""The space after the marks that close a sentence, closing quotes included."""

_PUNCTUATION = re.compile(r"[^\w\s]|_")
_SPACES = re.compile(r"\s+")


def mask_names(text: str) -> str:
    """The text with each capitalised word inside a sentence replaced by `NAME_WORD`.

    The first word of a sentence, of a line and of direct speech keeps its capital, and so does
    the pronoun I: there a capital says nothing about names. A title such as "Mr." ends no
    sentence. In code, identifiers such as RayCluster inside a line count as names.
    """
    parts: list[str] = []
    end = 0
    for match, opens in _capitals(text):
        if not opens:
            parts += (text[end : match.start()], NAME_WORD)
            end = match.end()
    return "".join(parts) + text[end:]


def _capitals(text: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Words with a capital other than the pronoun I, and whether each opens a sentence."""
    previous, end = "", 0
    for match in WORD.finditer(text):
        word = match.group()
        if word[0].isupper() and word != _PRONOUN:
            yield match, _opens_sentence(previous, text[end : match.start()])
        previous, end = word, match.end()


def _opens_sentence(previous: str, gap: str) -> bool:
    """Whether the word after `previous` and the marks `gap` begins a sentence, line or speech."""
    if not previous or "\n" in gap:
        return True
    initial = len(previous) == 1 and previous.isupper() and previous != _PRONOUN
    if gap.startswith(".") and gap[1:].isspace() and (initial or previous in _TITLES):
        return False
    return bool(_SENTENCE_GAP.search(gap) or _QUOTE_GAP.search(gap))


def lowercase(text: str) -> str:
    """The text without its capitals."""
    return text.lower()


def strip_punctuation(text: str) -> str:
    """Words and digits alone, one space between them."""
    return _SPACES.sub(" ", _PUNCTUATION.sub(" ", text)).strip()


def shuffle_sentences(text: str, seed: int) -> str:
    """The same sentences in a random order, one space between them."""
    sentences = [part for part in SENTENCE_END.split(text) if part.strip()]
    random.Random(f"{seed}:{text}").shuffle(sentences)
    return " ".join(sentence.strip() for sentence in sentences)


def drop_words(text: str, share: float, seed: int) -> str:
    """The text without a random `share` of its words (rounded to whole words).

    Args:
        text: any text; words are what white space separates.
        share: in [0, 1].
        seed: with the text it fixes which words go.

    Raises:
        ValueError: share outside [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must be in [0, 1], got {share}")
    words = text.split()
    dropped = set(
        random.Random(f"{seed}:{text}").sample(range(len(words)), round(share * len(words)))
    )
    return " ".join(word for i, word in enumerate(words) if i not in dropped)


def token_ids(tokens: Sequence[str]) -> Ids:
    """A 64-bit id of each token, [T]."""
    coded = (token.encode("utf-8", "replace") for token in tokens)
    single = [zlib.crc32(b) << 32 | zlib.crc32(b[::-1] + b"#") for b in coded]
    return np.array(single, np.uint64)


def ngram_ids(items: Ids, low: int, high: int) -> Ids:
    """64-bit ids of all n-grams of `low` to `high` items, shorter n-grams first; [0] if T < low.

    64 bits are wide enough that collisions do not matter.
    """
    hashed, found = np.zeros_like(items), [np.zeros(0, np.uint64)]
    for n in range(1, min(high, len(items)) + 1):
        size = len(items) - n + 1
        hashed = mix(hashed[:size], items[n - 1 :] + np.uint64(1))
        if n >= low:
            found.append(mix(hashed, np.full_like(hashed, n)))
    return np.concatenate(found)


def mix(hashed: Ids, item: Ids) -> Ids:
    """Hash of a prefix's hash and its next item, both [T]."""
    mixed = (hashed ^ item) * _GOLDEN
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
