"""Scorers that have no room, as an Ingress replica remembers them: who would be refused for
certain is refused here, and costs the Scorers nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from serve.wire import Busy, Scored

# A replica that has said nothing for so long may be gone, and counts no more.
_HEARD_S = 10.0


@dataclass
class _Replica:
    heard: float
    size: int = 0
    until: float = 0.0
    busy: Busy | None = None


class Turnstile:
    """Lets everybody pass until every Scorer that was lately heard of is known to have no room.

    A Scorer that refuses says how long it will have no room for a request of that size. Until then,
    or until it answers some other request, it need not be asked for one that is as large.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """`clock`: seconds; for tests."""
        self._clock = clock
        self._replicas: dict[str, _Replica] = {}

    def note(self, outcome: Scored | Busy, size: int) -> None:
        """What a Scorer said to a request of so many characters."""
        now = self._clock()
        self._replicas = {k: v for k, v in self._replicas.items() if now - v.heard < _HEARD_S}
        found = _Replica(now)
        if isinstance(outcome, Busy):
            found = _Replica(now, size, now + outcome.room_s, outcome)
        self._replicas[outcome.replica] = found

    def refusal(self, size: int) -> Busy | None:
        """What every Scorer would say to a request of so many characters; None = ask."""
        now = self._clock()
        heard = [r for r in self._replicas.values() if now - r.heard < _HEARD_S]
        said = [r.busy for r in heard if r.busy and now < r.until and size >= r.size]
        if not heard or len(said) < len(heard):
            return None
        return min(said, key=lambda busy: busy.wait_s)
