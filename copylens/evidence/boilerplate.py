"""Which words of a text are boilerplate: common notices and stock phrases.

A stock phrase is a run of `min_words` words that is found in many sub-datasets or in many split
groups. The common licence headers are listed besides (`stock.txt`), since a corpus may hold one
only once.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np

from copylens.config.evidence import EvidenceConfig
from copylens.evidence.arrays import ShardArrays, build_arrays
from copylens.evidence.matching import Runs, exact_runs
from copylens.evidence.words import WordIds, word_ids
from copylens.records import BoolArray, IntArray


def boilerplate_words(
    ids: WordIds,
    shards: Sequence[tuple[str, ShardArrays, Runs]],
    settings: EvidenceConfig,
) -> BoolArray:
    """[n] which words of a text are boilerplate.

    Args:
        shards: of each shard of the index its sub-dataset, its arrays, and the runs found in it.
    """
    size = settings.min_words
    windows = max(0, len(ids) - size + 1)
    groups = np.zeros(windows, dtype=np.int64)
    holds: dict[str, BoolArray] = {}
    for name, shard, runs in shards:
        long = runs.where(runs.words >= size)
        if len(long.text) == 0:
            continue
        passage = np.searchsorted(shard.starts, long.place, side="right") - 1
        # One document counts once for a phrase, however often it has it.
        table = np.stack([shard.groups[passage].astype(np.int64), long.text, long.words])
        _, text, words = np.unique(table, axis=1)
        found = _cover(windows, text, words - size + 1)
        groups += found
        holds[name] = holds.get(name, np.zeros(windows, dtype=bool)) | (found > 0)
    in_many = np.sum(list(holds.values()), axis=0) if holds else np.zeros(windows, dtype=int)
    stock = groups >= settings.boilerplate_groups
    stock |= in_many >= settings.boilerplate_sub_datasets
    starts = np.flatnonzero(stock)
    known = exact_runs(_stock_texts(), ids)
    marked = _cover(len(ids), starts, np.full(len(starts), size))
    return np.asarray(marked + _cover(len(ids), known.text, known.words) > 0)


def _cover(length: int, starts: IntArray, sizes: IntArray) -> IntArray:
    """[length] how many of the stretches [start, start + size) each position lies in."""
    steps = np.zeros(length + 1, dtype=np.int64)
    np.add.at(steps, starts, 1)
    np.subtract.at(steps, starts + sizes, 1)
    return np.asarray(np.cumsum(steps)[:length])


@cache
def _stock_texts() -> ShardArrays:
    text = resources.files(__package__).joinpath("stock.txt").read_text(encoding="utf-8")
    paragraphs = [word_ids(paragraph) for paragraph in text.split("\n\n")]
    return build_arrays(paragraphs, list(range(len(paragraphs))))
