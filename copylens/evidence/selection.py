"""Selects the spans to report: rarest first, without redundant ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.evidence.matching import Spans
from copylens.records import BoolArray, IntArray

# A span is redundant if more than this part is covered by chosen ones of the same sub-dataset.
_NEW = 0.5
# Two spans are about the same words if the smaller overlap is so large a part of either.
_SAME = 0.8


@dataclass(frozen=True)
class ReportedSpan:
    """One span that is reported; fields as in `Spans`, `shard` is the number of its index shard."""

    shard: int
    start: int
    end: int
    place_start: int
    place_end: int
    passage: int
    matched: int
    score: float
    boilerplate: bool
    passages: int
    sub_datasets: int


def select(
    names: Sequence[str], shards: Sequence[Spans], stock: BoolArray, most: int
) -> list[ReportedSpan]:
    """Spans of all shards -> those to report, rarest first, boilerplate after all others.

    A span is left out where chosen ones of the same sub-dataset cover it, or where a clearly longer
    one of another sub-dataset contains it, which is then the likelier source.

    Args:
        names: the sub-dataset of each shard.
        stock: [n] which words of the text are boilerplate.
        most: how many to report.
    """
    shard = np.repeat(np.arange(len(shards)), [len(spans.start) for spans in shards])
    if len(shard) == 0:
        return []
    rows = {
        key: np.concatenate([getattr(spans, key) for spans in shards]) for key in vars(shards[0])
    }
    start, end = rows["start"], rows["end"]
    before = np.append(0, np.cumsum(stock))
    boiler = 2 * (before[end] - before[start]) > end - start
    owner = np.unique([names[n] for n in range(len(shards))], return_inverse=True)[1][shard]
    # Ties by what the span is, so that the order of the shards does not matter.
    order = np.lexsort((rows["place_start"], shard, start, -rows["weight"], boiler))
    chosen = _chosen(start, end, owner, order, len(stock), most)
    found = []
    for n in chosen:
        same = _covering(start, end, int(start[n]), int(end[n]))
        places = np.unique(np.stack([shard[same], rows["passage"][same]]), axis=1)
        figures = {key: int(values[n]) for key, values in rows.items() if key != "weight"}
        found.append(
            ReportedSpan(
                shard=int(shard[n]),
                score=float(rows["weight"][n]),
                boilerplate=bool(boiler[n]),
                passages=places.shape[1],
                sub_datasets=len(np.unique(owner[same])),
                **figures,
            )
        )
    return found


def _chosen(
    start: IntArray, end: IntArray, owner: IntArray, order: IntArray, length: int, most: int
) -> list[int]:
    """Numbers of the spans to report, in `order`."""
    covered: dict[int, BoolArray] = {}
    # Length of the longest span chosen so far at each word.
    longest = np.zeros(length, dtype=np.int64)
    seen: set[tuple[int, int, int]] = set()
    chosen: list[int] = []
    for n in order.tolist():
        low, high, who = int(start[n]), int(end[n]), int(owner[n])
        if (low, high, who) in seen:
            continue
        seen.add((low, high, who))
        own = covered.setdefault(who, np.zeros(length, dtype=bool))
        if (high - low) - own[low:high].sum() < _NEW * (high - low):
            continue
        if (high - low) < _SAME * np.median(longest[low:high]):
            continue
        chosen.append(n)
        own[low:high] = True
        longest[low:high] = np.maximum(longest[low:high], high - low)
        if len(chosen) == most:
            break
    return chosen


def _covering(starts: IntArray, ends: IntArray, start: int, end: int) -> BoolArray:
    """Which spans hold nearly all of the words [start, end)."""
    overlap = np.minimum(ends, end) - np.maximum(starts, start)
    return np.asarray(overlap >= _SAME * (end - start))
