"""OOD scores of a linear baseline: MSP, and the k-th neighbour by cosine on its very features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from copylens.detector.auroc import auroc
from copylens.evaluation.baselines.linear import Features, LogisticModel, Split
from copylens.evaluation.baselines.ood_scores import msp
from copylens.evaluation.metrics import fpr95

Float64 = npt.NDArray[np.float64]

NEIGHBOURS = (1, 5, 10, 50)
DEFAULT_K = 10
"""Where there is no val OOD to choose k on."""

_CHUNK = 512
_COMMON_FEATURES = 4096


@dataclass(frozen=True)
class OodScore:
    """One OOD score of one baseline. Larger scores = less likely registered.

    Attributes:
        id_scores, ood_scores: [N], [M] of the test split and of the OOD test texts.
        auroc, fpr95: of the two; see metrics.
        val_auroc: the same on val and val OOD; 0 where there is none to choose by.
        k: the neighbour that counts, chosen on val; None for scores without one.
    """

    id_scores: Float64
    ood_scores: Float64
    auroc: float
    fpr95: float
    val_auroc: float
    k: int | None


def ood_figures(split: Split, model: LogisticModel) -> dict[str, OodScore]:
    """`msp` and `knn` of a fitted baseline; empty where there are no OOD test texts."""
    if split.ood_test.shape[0] == 0:
        return {}
    names = ("val", "test", "ood_val", "ood_test")
    parts = {name: part for name in names if (part := getattr(split, name)).shape[0]}
    by_msp = {name: msp(model.logits(part)) for name, part in parts.items()}
    ks = [k for k in NEIGHBOURS if k <= split.train.shape[0]]
    distances = {name: neighbour_distances(split.train, part, ks) for name, part in parts.items()}
    by_k = {k: {name: found[:, i] for name, found in distances.items()} for i, k in enumerate(ks)}
    tried = {k: _figures(scores, k) for k, scores in by_k.items()}
    default = DEFAULT_K if DEFAULT_K in tried else ks[-1]
    # Ties (no val OOD at all is one) go to the default.
    best = max(ks, key=lambda k: (tried[k].val_auroc, k == default))
    return {"msp": _figures(by_msp, None), "knn": tried[best]}


def _figures(scores: dict[str, Float64], k: int | None) -> OodScore:
    on_val = "val" in scores and "ood_val" in scores
    return OodScore(
        id_scores=scores["test"],
        ood_scores=scores["ood_test"],
        auroc=auroc(scores["test"], scores["ood_test"]),
        fpr95=fpr95(scores["test"], scores["ood_test"]),
        val_auroc=auroc(scores["val"], scores["ood_val"]) if on_val else 0.0,
        k=k,
    )


def neighbour_distances(references: Features, queries: Features, ks: list[int]) -> Float64:
    """Cosine distance from each query to its k-th nearest reference, for each k.

    Args:
        references: [R, F] dense or CSR.
        queries: [N, F] of the same kind.
        ks: each in 1..R.

    Returns:
        [N, len(ks)] in [0, 2].
    """
    from sklearn.preprocessing import normalize

    base, points = normalize(references), normalize(queries)
    similar = _Similarity(base)
    distances = np.empty((points.shape[0], len(ks)))
    for start in range(0, points.shape[0], _CHUNK):
        chunk = 1.0 - similar(points[start : start + _CHUNK])  # [chunk, R]
        ordered = np.partition(chunk, [k - 1 for k in ks], axis=1)
        distances[start : start + _CHUNK] = ordered[:, [k - 1 for k in ks]]
    return distances


class _Similarity:
    """Inner products with a fixed set of rows, exact, and quick for TF-IDF too.

    Character n-grams are half dense: the few thousand that most texts share go through BLAS, the
    long tail stays sparse. A sparse product of all of them takes minutes.
    """

    def __init__(self, base: Any):
        from scipy.sparse import issparse

        self.sparse = issparse(base)
        if not self.sparse:
            self.base = base
            return
        frequency = np.bincount(base.indices, minlength=base.shape[1])
        order = np.argsort(-frequency, kind="stable")
        self.common, self.rare = np.split(order, [_COMMON_FEATURES])
        self.dense_base = base[:, self.common].toarray()
        self.rare_base = base[:, self.rare].T.tocsr()

    def __call__(self, rows: Any) -> npt.NDArray[Any]:
        if not self.sparse:
            return np.asarray(rows @ self.base.T)
        dense = rows[:, self.common].toarray() @ self.dense_base.T
        return np.asarray(dense + (rows[:, self.rare] @ self.rare_base).toarray())
