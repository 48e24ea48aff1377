"""Out-of-fold parts that never cut through a split group."""

import numpy as np

from copylens.records import IntArray


def fold_index(labels: IntArray, groups: IntArray, folds: int, seed: int) -> IntArray:
    """[N] which part holds a passage out: split groups stay whole, sub-datasets are spread.

    Every part holds about the same share of every sub-dataset, so the number of parts shrinks to
    the fewest groups that one has. A sub-dataset of a single group cannot be held out by group:
    its passages are cut into contiguous blocks.
    """
    per_class = [np.unique(groups[labels == k]) for k in np.unique(labels)]
    parts = max(2, min([folds, *(len(g) for g in per_class if len(g) > 1)]))
    generator = np.random.default_rng([seed, 5])
    result = np.zeros(len(labels), dtype=np.int64)
    for k, members in zip(np.unique(labels), per_class):
        mine = np.flatnonzero(labels == k)
        if len(members) == 1:
            result[mine] = np.arange(len(mine)) * parts // len(mine)
            continue
        sizes = np.array([(groups[mine] == g).sum() for g in members])
        load = np.zeros(parts)
        # Largest group first into the emptiest part, so that the parts are of like size.
        for place in np.lexsort((generator.random(len(members)), -sizes)):
            part = int(load.argmin())
            load[part] += sizes[place]
            result[mine[groups[mine] == members[place]]] = part
    return result
