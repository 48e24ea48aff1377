"""Do shares follow what fine-tuning did? The linear datamodeling score over the tuned LMs."""

from collections.abc import Sequence

import numpy as np

from benchmarks.retraining.datamodel import Retraining
from benchmarks.retraining.judgement import judged
from benchmarks.retraining.nearness import bm25, nearest_sums
from benchmarks.retraining.queries import Query
from copylens.records import FloatArray, Passage

_NEIGHBOURS = 100
"""As docs/causal.md found it on other LMs."""


def group_lds(
    queries: Sequence[Query],
    losses: FloatArray,
    shares: FloatArray,
    read: Sequence[Passage],
    names: Sequence[str],
) -> dict[str, dict[str, list[float]]]:
    """LDS of shares and of BM25 on all queries and on each kind; and their difference.

    Args:
        losses: [M, Q] of each LM; the LM of row k was tuned on sub-dataset k, the last on none.
        shares: [Q, K] of the queries, by the LM that was tuned on none.
        read: the passages that LMs were tuned on.
    """
    K = len(names)
    labels = np.array([names.index(p.sub_dataset) for p in read])
    likeness = bm25([p.text for p in read])([query.text for query in queries])
    methods = {"lds": shares, "lds_bm25": nearest_sums(likeness, labels, K, _NEIGHBOURS)}
    members = np.eye(len(losses), K, dtype=bool)
    whole = Retraining(
        members=members,
        outcomes=-losses,
        units=np.arange(len(losses)),
        groups=tuple(query.group for query in queries),
        sub_datasets=tuple(query.sub_dataset for query in queries),
    )
    found: dict[str, dict[str, list[float]]] = {}
    for kind in ("all", "held-out", "written"):
        index = np.array([n for n, q in enumerate(queries) if kind in ("all", q.kind)])
        part = {name: scores[index] for name, scores in methods.items()}
        scores, pairs = judged(whole.queries(index), part, [("lds", "lds_bm25")])
        found[kind] = {
            **{name: score.to_list() for name, score in scores.items()},
            "lds_ci95": pairs["lds", "lds_bm25"].to_list()[1:],
        }
    return found
