"""Admission control: an Ingress replica refuses requests that every Scorer is known to refuse."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from serve.replica.messages import Overloaded, ScoreResponse

# A Scorer whose last answer is older than this may be gone and is not counted.
_EXPIRY_S = 10.0
# Upper bound on how long a refusal is reused: the Scorer may have answered through another Ingress
# meanwhile, or new Scorers may have started.
_LONGEST_REFUSAL_S = 1.0


@dataclass
class _ScorerState:
    """The last answer of one Scorer: when, and until when it refuses requests of this size."""

    answered: float
    size: tuple[int, int] = (0, 0)
    until: float = 0.0
    overloaded: Overloaded | None = None


class AdmissionControl:
    """Admits every request until all Scorers that answered lately are known to be overloaded.

    A Scorer that refuses says for how long it has no room for a request of that size. Requests with
    at least as many texts and characters are not sent to it for that time, for one second at most,
    or until it answers another request.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """`clock`: seconds; replaced in tests."""
        self._clock = clock
        self._scorers: dict[str, _ScorerState] = {}

    def record(self, outcome: ScoreResponse | Overloaded, size: tuple[int, int]) -> None:
        """Stores a Scorer's answer to a request of `size` = (texts, characters)."""
        now = self._clock()
        self._scorers = self._recent(now)
        state = _ScorerState(now)
        if isinstance(outcome, Overloaded):
            until = now + min(outcome.room_s, _LONGEST_REFUSAL_S)
            state = _ScorerState(now, size, until, outcome)
        self._scorers[outcome.replica] = state

    def refusal(self, size: tuple[int, int]) -> Overloaded | None:
        """The refusal of a request of `size` = (texts, characters); None where it is admitted.

        Of several Scorers' refusals it is the one with the shortest wait, less the time passed.
        """
        now = self._clock()
        recent = self._recent(now)
        refusals = [
            replace(s.overloaded, wait_s=max(0.0, s.overloaded.wait_s - (now - s.answered)))
            for s in recent.values()
            if s.overloaded and now < s.until and size[0] >= s.size[0] and size[1] >= s.size[1]
        ]
        if not recent or len(refusals) < len(recent):
            return None
        return min(refusals, key=lambda refusal: refusal.wait_s)

    def _recent(self, now: float) -> dict[str, _ScorerState]:
        """Scorers that answered less than `_EXPIRY_S` ago, by name."""
        return {k: v for k, v in self._scorers.items() if now - v.answered < _EXPIRY_S}
