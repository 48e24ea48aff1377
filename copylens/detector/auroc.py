"""How well a score tells unregistered texts from registered ones."""

import numpy as np

from copylens.records import FloatArray


def auroc(id_scores: FloatArray, ood_scores: FloatArray) -> float:
    """P(score of an OOD text > score of an in-distribution one), ties count half; in [0, 1].

    Args:
        id_scores, ood_scores: [N] and [M], larger = less likely to draw on anything registered.

    Raises:
        ValueError: one side is empty.
    """
    from sklearn.metrics import roc_auc_score

    is_ood, scores = both_sides(id_scores, ood_scores)
    return float(roc_auc_score(is_ood, scores))


def both_sides(id_scores: FloatArray, ood_scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Whether a score is an OOD text's (1) or not (0), and the scores, both [N + M]."""
    sizes = [len(id_scores), len(ood_scores)]
    if min(sizes) == 0:
        raise ValueError(
            f"need scores on both sides, got {sizes[0]} in-distribution and {sizes[1]} OOD"
        )
    return np.repeat([0.0, 1.0], sizes), np.concatenate([id_scores, ood_scores])
