"""Logistic regression on sparse or dense features, with C chosen on val."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from copylens.records import IntArray

Features = Any
"""[N, F] as a numpy array or a scipy CSR matrix."""

C_GRID = (1.0, 10.0)


@dataclass(frozen=True)
class Split:
    """Features of the five sets a baseline sees, rows = passages; labels are 0..K-1, [N].

    `val`, `ood_val` and `ood_test` may have no rows.
    """

    train: Features
    train_labels: IntArray
    val: Features
    val_labels: IntArray
    test: Features
    test_labels: IntArray
    ood_val: Features
    ood_test: Features


@dataclass(frozen=True)
class LogisticModel:
    """A fitted multinomial regression.

    Attributes:
        model: the sklearn estimator.
        classes: K; a label that training did not hold gets probability 0.
    """

    model: Any
    classes: int

    def logits(self, features: Features) -> npt.NDArray[np.float64]:
        """Features [N, F] -> [N, K'] over the labels seen in training."""
        values = np.asarray(self.model.decision_function(features), dtype=np.float64)
        # sklearn gives one column for two classes: the logit of the second one.
        return values if values.ndim == 2 else np.stack([np.zeros_like(values), values], axis=1)

    def probabilities(self, features: Features) -> npt.NDArray[np.float64]:
        """Features [N, F] -> [N, K], rows sum to 1."""
        shares = np.zeros((features.shape[0], self.classes))
        shares[:, self.model.classes_] = self.model.predict_proba(features)
        shares /= shares.sum(axis=1, keepdims=True)  # float32 rows miss 1 by a little
        return shares


def fit_logistic(
    train: Features,
    train_labels: IntArray,
    val: Features,
    val_labels: IntArray,
    classes: int,
    seed: int,
) -> LogisticModel:
    """Fits for each C of the grid on train; keeps the best on val, the smaller at a tie.

    L-BFGS with a loose tolerance: on TF-IDF it needs some 20 passes over the data, and a tighter
    one changes no prediction that matters.
    """
    from sklearn.linear_model import LogisticRegression

    best: LogisticModel | None = None
    best_accuracy = -1.0
    for C in C_GRID if val.shape[0] else C_GRID[-1:]:
        fitted = LogisticRegression(C=C, tol=1e-3, max_iter=300, random_state=seed)
        fitted.fit(train, train_labels)
        right = float(fitted.score(val, val_labels)) if val.shape[0] else 0.0
        if right > best_accuracy:
            best, best_accuracy = LogisticModel(fitted, classes), right
    assert best is not None
    return best
