"""Scorers that have no room, as an Ingress replica remembers them: who would most likely be refused
is refused here, and costs the Scorers nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from serve.replica.messages import Busy, Scored

# A replica that has said nothing for so long may be gone, and counts no more.
_HEARD_S = 10.0
# A Scorer is asked again after so long at most: it may have answered through another Ingress, or
# be no longer alone.
_LONGEST_S = 1.0


@dataclass
class _Replica:
    heard: float
    size: tuple[int, int] = (0, 0)
    until: float = 0.0
    busy: Busy | None = None


class Turnstile:
    """Lets everybody pass until every Scorer that was lately heard of is known to have no room.

    A Scorer that refuses says how long it will have no room for a request of that size. Until then,
    for a second at most, or until it answers some other request, it is not asked about one that
    has as many texts and characters.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """`clock`: seconds; for tests."""
        self._clock = clock
        self._replicas: dict[str, _Replica] = {}

    def note(self, outcome: Scored | Busy, size: tuple[int, int]) -> None:
        """What a Scorer said to a request of so many texts and characters."""
        now = self._clock()
        self._replicas = self._heard(now)
        found = _Replica(now)
        if isinstance(outcome, Busy):
            found = _Replica(now, size, now + min(outcome.room_s, _LONGEST_S), outcome)
        self._replicas[outcome.replica] = found

    def refusal(self, size: tuple[int, int]) -> Busy | None:
        """What every Scorer would say to a request of so many texts and characters; None = ask."""
        now = self._clock()
        heard = self._heard(now)
        said = [
            replace(r.busy, wait_s=max(0.0, r.busy.wait_s - (now - r.heard)))
            for r in heard.values()
            if r.busy and now < r.until and size[0] >= r.size[0] and size[1] >= r.size[1]
        ]
        if not heard or len(said) < len(heard):
            return None
        return min(said, key=lambda busy: busy.wait_s)

    def _heard(self, now: float) -> dict[str, _Replica]:
        """The Scorers that have said something lately, by their names."""
        return {k: v for k, v in self._replicas.items() if now - v.heard < _HEARD_S}
