"""Counters of our own. Ray exports them, with `ray_` before each name; see docs/serving.md."""

from ray.util.metrics import Counter, Gauge, Histogram

from copylens.records import Verdict
from serve.follow import Outcome
from serve.policy import Ruling


class VerdictMetrics:
    """Of an Ingress replica."""

    def __init__(self) -> None:
        self._verdicts = Counter(
            "copylens_verdicts_total", "verdicts given", tag_keys=("decision",)
        )
        self._rulings = Counter(
            "copylens_rulings_total", "what the policy said of texts", tag_keys=("action",)
        )

    def count(self, verdict: Verdict, ruling: Ruling) -> None:
        """Counts one answer."""
        self._verdicts.inc(tags={"decision": verdict.decision})
        self._rulings.inc(tags={"action": ruling.action})


class ScorerMetrics:
    """Of a Scorer replica."""

    def __init__(self) -> None:
        self._reloads = Counter(
            "copylens_reloads_total", "changes of the champion followed", tag_keys=("outcome",)
        )
        self._batch = Histogram(
            "copylens_batch_texts", "texts in one pass of the LM", boundaries=[1, 2, 4, 8, 16, 32]
        )
        self._waiting = Gauge("copylens_waiting_texts", "texts that wait for the LM")

    def reload(self, outcome: Outcome) -> None:
        """Counts a version that was tried."""
        self._reloads.inc(tags={"outcome": outcome})

    def batch(self, texts: int, waiting: int) -> None:
        """Notes the size of a batch, and how many texts it left waiting."""
        self._batch.observe(texts)
        self._waiting.set(waiting)
