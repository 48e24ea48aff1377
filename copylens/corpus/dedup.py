"""Exact and near-duplicates, across sub-datasets and splits.

A text that two sub-datasets hold would make both labels wrong, and one that lies in train and
test would make the figures too good. Of two copies the one in an evaluation split is kept.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from copylens.corpus.checks import UnsplitPassage
from copylens.records import SplitName
from copylens.store.storage import sha256
from copylens.text import WORD, ngram_ids, token_ids

SHINGLE_WORDS = 5
PERMUTATIONS = 64
# The index is asked for less than the limit, because its estimate from 64 permutations is rough;
# the true similarity decides. Below 0.2 nearly every pair would be a candidate.
INDEX_MARGIN, INDEX_LEAST = 0.2, 0.2

EVALUATION: frozenset[SplitName | None] = frozenset({"val", "test", "ood_val", "ood_test"})


def drop_exact(passages: Sequence[UnsplitPassage]) -> list[UnsplitPassage]:
    """Without texts that are equal up to case, white space and Unicode form; order is kept."""
    seen: set[str] = set()
    kept: set[str] = set()
    for passage in sorted(passages, key=_rank):
        normal = " ".join(unicodedata.normalize("NFKC", passage.text).casefold().split())
        key = sha256(normal.encode())
        if key not in seen:
            seen.add(key)
            kept.add(passage.id)
    return [passage for passage in passages if passage.id in kept]


def drop_near(passages: Sequence[UnsplitPassage], limit: float) -> list[UnsplitPassage]:
    """Without texts whose word 5-grams have a Jaccard similarity >= limit to one that is kept.

    The order of the passages stays. With limit 1 nothing is dropped: `drop_exact` has done it.
    """
    if limit >= 1:
        return list(passages)
    from datasketch import MinHash, MinHashLSH  # slow to import

    index = MinHashLSH(threshold=max(INDEX_LEAST, limit - INDEX_MARGIN), num_perm=PERMUTATIONS)
    empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)
    kept: dict[str, npt.NDArray[np.uint32]] = {}
    for passage in sorted(passages, key=_rank):
        shingles = shingle_hashes(passage.text)
        sketch = empty.copy()
        sketch.update_batch(shingles.tolist())
        if any(jaccard(shingles, kept[near]) >= limit for near in index.query(sketch)):
            continue
        index.insert(passage.id, sketch, check_duplication=False)
        kept[passage.id] = shingles
    return [passage for passage in passages if passage.id in kept]


def shingle_hashes(text: str) -> npt.NDArray[np.uint32]:
    """Sorted, distinct 32-bit hashes of the text's word 5-grams; of all words if there are < 5."""
    words = WORD.findall(text.lower()) or [text]
    width = min(SHINGLE_WORDS, len(words))
    grams = ngram_ids(token_ids(words), width, width)
    return np.unique((grams >> np.uint64(32)).astype(np.uint32))


def jaccard(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> float:
    """Size of the intersection over size of the union of two sorted sets, in [0, 1]."""
    both = len(np.intersect1d(left, right, assume_unique=True))
    return both / (len(left) + len(right) - both)


def _rank(passage: UnsplitPassage) -> int:
    """Order in which copies are kept: evaluation, not yet split, train, background."""
    if passage.kind == "background":
        return 3
    if passage.kind == "ood" or passage.split in EVALUATION:
        return 0
    return 1 if passage.split is None else 2
