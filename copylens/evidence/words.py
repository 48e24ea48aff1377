"""Texts as hashed words, whatever their case, spacing and punctuation, with character offsets.

A word is a run of letters, digits and inner underscores; of scripts that write no spaces every
character is one. Words are compared in lower case after NFKC, by a 32-bit hash: an index needs no
vocabulary, so deleting the shards of a sub-dataset removes all that an index holds of it. Two
different words share a hash with probability 2^-32; spans need six equal words in a row.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from copylens.records import IntArray
from copylens.text import WORD

WORDS_VERSION = 1
"""Changes with what a word is; an index of another version is built anew."""

SEPARATOR = 0
"""Stands between two passages; no word has this id."""

WordIds = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Words:
    """The words of one text, in order.

    Attributes:
        ids: [n] hashes of the words, never SEPARATOR.
        starts, ends: [n] characters of each word in the text, end exclusive.
    """

    ids: WordIds
    starts: IntArray
    ends: IntArray


def read_words(text: str) -> Words:
    """The words of a text with their characters."""
    found = [(m.start(), m.end(), _word_id(m.group())) for m in WORD.finditer(text)]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    table = table[table[:, 2] != SEPARATOR]
    return Words(table[:, 2].astype(np.uint32), table[:, 0], table[:, 1])


def word_ids(text: str) -> WordIds:
    """The ids of `read_words` alone, in a third of the time."""
    found = WORD.findall(text)
    ids = np.fromiter(map(_word_id, found), dtype=np.uint32, count=len(found))
    return np.asarray(ids[ids != SEPARATOR])


@lru_cache(maxsize=2**18)
def _word_id(surface: str) -> int:
    """Hash of a word as it stands in a text; SEPARATOR for underscores alone, which are none."""
    plain = surface if surface.isascii() else unicodedata.normalize("NFKC", surface)
    plain = plain.casefold().strip("_")
    if not plain:
        return SEPARATOR
    value = int.from_bytes(blake2b(plain.encode(), digest_size=4).digest(), "little")
    return value if value != SEPARATOR else 1
