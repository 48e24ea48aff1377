"""Shares joined with the audit: what a text resembles, and what the LM was found trained on."""

from dataclasses import replace

import numpy as np
from scipy.special import softmax

from benchmarks.retraining.audit import Presence
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.study import Study
from copylens.records import FloatArray, IntArray

OURS = "shares_x_audit"
TEMPERATURES = (1.0, 3.0, 10.0, 30.0, 100.0)


def with_audit(study: Study, answers: Answers) -> Answers:
    """The answers, and among them the shares joined with the audit.

    - `shares_x_presence`: share times the audit's factor of the sub-dataset.
    - `shares_x_audit`: the same on shares spread by `reach`: sum_e share_e * reach[e, d] * factor_d
      with the temperature of `reach` as its setting.

    Both are products of K numbers with K by K, so a query costs what its shares cost.
    """
    factor = Presence(*answers.presence).factor
    shares = answers.candidates["shares"]["as they are"]
    val = study.places(["val"])
    labels = study.labels([study.queries[i] for i in val])
    spread = {
        f"temperature {t:g}": shares @ (reach(answers.log_probs[val], labels, t) * factor)
        for t in TEMPERATURES
    }
    cost = answers.per_query["shares"]
    return replace(
        answers,
        candidates=answers.candidates
        | {"shares_x_presence": {"as they are": shares * factor}, OURS: spread},
        per_query=answers.per_query | {"shares_x_presence": cost, OURS: cost},
    )


def reach(log_probs: FloatArray, labels: IntArray, temperature: float) -> FloatArray:
    """How far what is learned from one sub-dataset (column) reaches texts of another (row).

    The scorer's soft confusion matrix, softened: the mean over the val passages of a sub-dataset of
    softmax(fused log-probabilities / temperature), [N, K] with labels [N] -> [K, K]. Rows sum to 1.
    The higher the temperature, the nearer what the scorer holds for alike comes to the sub-dataset
    itself.
    """
    soft = softmax(log_probs / temperature, axis=1)
    return np.stack([soft[labels == k].mean(axis=0) for k in range(log_probs.shape[1])])
