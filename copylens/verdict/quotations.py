"""Verbatim evidence in a verdict: what stands word for word in a registered passage is of it."""

from collections.abc import Sequence

import numpy as np

from copylens.evidence.index import Citation
from copylens.records import FloatArray, IntArray


def quoted_parts(
    citations: Sequence[Citation], spans: IntArray, sub_datasets: Sequence[str]
) -> FloatArray:
    """Which part of each segment is quoted from which sub-dataset, [S, K]; rows sum to <= 1.

    Stock phrases and notices do not count. Where citations overlap the rarest one counts.

    Args:
        citations: verbatim and near-verbatim spans found in the text.
        spans: [S, 2] characters of the segments.
    """
    place = {name: k for k, name in enumerate(sub_datasets)}
    K = len(place)
    owner = np.full(int(spans[-1, 1]), K)
    for item in sorted(citations, key=lambda item: item.score):
        if not item.boilerplate and item.sub_dataset in place:
            owner[item.start : item.end] = place[item.sub_dataset]
    parts = [
        np.bincount(owner[start:end], minlength=K + 1)[:K] / max(1, end - start)
        for start, end in spans
    ]
    return np.stack(parts)
