"""Shares joined with the audit: what a text resembles, and what the LM was found trained on."""

from dataclasses import replace

import numpy as np
from scipy.special import softmax

from benchmarks.retraining.audit import Presence
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.study import Study
from copylens.records import FloatArray, IntArray

OURS = "shares_x_audit"
TEMPERATURES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)


def with_audit(study: Study, answers: Answers) -> Answers:
    """The answers, and among them the shares joined with the audit.

    - `shares_x_audit`: sum_e share_e * reach[e, d] * sureness_d, with the temperature of `reach`
      as its setting;
    - `shares_x_gap`: share times the audit's strength, without `reach`;
    - `log_probs`: the scorer's fused log-probabilities, before they are sharpened into shares.

    Beside the shares these are products of K numbers with K by K, so a query costs the same.
    """
    audit = Presence(*answers.presence)
    shares = answers.candidates["shares"]["as they are"]
    val = study.places(["val"])
    labels = study.labels([study.queries[i] for i in val])
    more = {
        OURS: {
            f"temperature {t:g}": shares
            @ (reach(answers.log_probs[val], labels, t) * audit.sureness)
            for t in TEMPERATURES
        },
        "shares_x_gap": {"as they are": shares * audit.strength},
        "log_probs": {"as they are": answers.log_probs},
    }
    cost = dict.fromkeys(more, answers.per_query["shares"])
    return replace(
        answers, candidates=answers.candidates | more, per_query=answers.per_query | cost
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
