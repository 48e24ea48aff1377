"""The service's metrics. Ray exports them with the prefix `ray_`; see docs/serving.md."""

from collections import deque

from ray.util.metrics import Counter, Gauge, Histogram

from copylens.records import Verdict
from serve.api.policy import Ruling
from serve.replica.follow import Outcome

_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
_LEVELS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1]
_NATS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20]
# Label of the share that no registered sub-dataset accounts for.
_UNREGISTERED = "(unregistered)"


class IngressMetrics:
    """Metrics of an Ingress replica."""

    def __init__(self) -> None:
        self._requests = Counter(
            "copylens_requests_total", "requests answered", tag_keys=("route", "status")
        )
        self._seconds = Histogram(
            "copylens_request_seconds",
            "until the whole answer was sent",
            boundaries=_SECONDS,
            tag_keys=("route",),
        )
        self._verdicts = Counter(
            "copylens_verdicts_total", "verdicts given", tag_keys=("decision",)
        )
        self._rulings = Counter(
            "copylens_rulings_total", "what the policy said of texts", tag_keys=("action",)
        )
        self._shares = Counter(
            "copylens_shares_total", "sum of the shares of all verdicts", tag_keys=("holder",)
        )
        self._ood_score = Histogram("copylens_ood_score", "of verdicts, nats", boundaries=_NATS)
        self._p_value = Histogram("copylens_p_value", "of verdicts", boundaries=_LEVELS)
        self._drift = Gauge(
            "copylens_ood_drift", "distance of the last p-values from those of calibration, 0 to 1"
        )
        self._recent = Drift()

    def verdict(self, verdict: Verdict, ruling: Ruling) -> None:
        """Counts one verdict."""
        self._verdicts.inc(tags={"decision": verdict.decision})
        self._rulings.inc(tags={"action": ruling.action})
        for holder, share in by_holder(verdict).items():
            # A counter refuses 0: of a text that is quoted in full nothing is unregistered.
            if share > 0:
                self._shares.inc(share, tags={"holder": holder})
        self._ood_score.observe(verdict.ood_score)
        self._p_value.observe(verdict.p_value)
        self._drift.set(self._recent.add(verdict.p_value))

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self._requests.inc(tags={"route": route, "status": str(status)})
        self._seconds.observe(seconds, tags={"route": route})


class Drift:
    """Kolmogorov-Smirnov distance of the last p-values from U(0, 1).

    A p-value is the rank of a text's ood_score among those of held-out registered texts, so the
    distance compares the ood_scores of the traffic with those of calibration: 0 where they have the
    same distribution, near 1 where all of the traffic is out of distribution. The level depends on
    the traffic; a change of the level is the drift.
    """

    def __init__(self, size: int = 500):
        self._values: deque[float] = deque(maxlen=size)
        self._distance, self._due = 0.0, 0

    def add(self, p_value: float) -> float:
        """Adds a p-value; the distance of the last `size`, computed anew at every 2 % of them."""
        self._values.append(p_value)
        self._due -= 1
        if self._due <= 0:
            # Sorting at each verdict would be slow.
            self._due = len(self._values) // 50
            self._distance = ks_uniform(list(self._values))
        return self._distance


def ks_uniform(values: list[float]) -> float:
    """Largest distance between the values' distribution function and that of U(0, 1)."""
    n = len(values)
    return max(
        max((rank + 1) / n - value, value - rank / n) for rank, value in enumerate(sorted(values))
    )


def by_holder(verdict: Verdict) -> dict[str, float]:
    """Share per holder, and of the unregistered part; they sum to 1."""
    found = {_UNREGISTERED: verdict.unregistered}
    for share in verdict.shares:
        found[share.holder] = found.get(share.holder, 0.0) + share.share
    return found


class ScorerMetrics:
    """Metrics of a Scorer replica."""

    def __init__(self) -> None:
        self._reloads = Counter(
            "copylens_reloads_total", "changes of the champion followed", tag_keys=("outcome",)
        )
        self._batch = Histogram(
            "copylens_batch_texts", "texts in one pass of the LM", boundaries=[1, 2, 4, 8, 16, 32]
        )
        self._waiting = Gauge("copylens_waiting_texts", "texts that wait for the LM")
        self._generations = Gauge("copylens_generations", "generations written or waiting")

    def reload(self, outcome: Outcome) -> None:
        """Counts an attempt to load another version."""
        self._reloads.inc(tags={"outcome": outcome})

    def batch(self, texts: int, waiting: int) -> None:
        """Records a batch's size, and the texts still in the queue."""
        self._batch.observe(texts)
        self._waiting.set(waiting)

    def generations(self, number: int) -> None:
        """Sets the number of generations that run or wait."""
        self._generations.set(number)
