"""Kernel ridge regression on one-hot labels: the strongest plain reader of many sparse features.

On held-out novels it beats logistic regression on the same features by about six points (see
docs/experiments.md), and from one Gram matrix every out-of-fold fit costs one Cholesky.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from copylens.records import FloatArray, IntArray

_BLOCK = 2048


def gram(rows: sparse.csr_matrix) -> FloatArray:
    """Inner products of all rows, [N, F] -> [N, N] float64.

    Frequent columns go through a dense product, since a sparse one costs the sum of their squared
    frequencies.
    """
    N = rows.shape[0]
    frequent = np.bincount(rows.indices, minlength=rows.shape[1]) > N / 20
    result = np.zeros((N, N), np.float32)
    columns = np.flatnonzero(frequent)
    for start in range(0, len(columns), _BLOCK):
        block = rows[:, columns[start : start + _BLOCK]].toarray()
        result += block @ block.T
    rest = rows[:, np.flatnonzero(~frequent)]
    return np.asarray(result + (rest @ rest.T).toarray(), np.float64)


def ridge_duals(kernel: FloatArray, labels: IntArray, classes: int, ridge: float) -> FloatArray:
    """Dual weights [N, K] of (kernel + ridge I) a = one-hot labels less each class' share.

    Args:
        kernel: [N, N] Gram matrix.
        labels: [N] in 0..K-1.
        ridge: > 0.
    """
    targets = np.eye(classes)[labels]
    factor = cho_factor(kernel + ridge * np.eye(len(kernel)), overwrite_a=True)
    return np.asarray(cho_solve(factor, targets - targets.mean(axis=0)))


def out_of_fold(
    kernel: FloatArray, labels: IntArray, classes: int, ridge: float, folds: IntArray
) -> FloatArray:
    """Scores [N, K] of each row from a fit without its fold; NaN where the fold is -1."""
    result = np.full((len(labels), classes), np.nan)
    for fold in range(int(folds.max(initial=-1)) + 1):
        kept, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        duals = ridge_duals(kernel[np.ix_(kept, kept)], labels[kept], classes, ridge)
        result[held] = kernel[np.ix_(held, kept)] @ duals
    return result
