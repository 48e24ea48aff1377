"""When the client repeats a call, and how long it waits before."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Retries:
    """When a call is repeated: after 429, 503 and connection errors.

    Exponential backoff with full jitter: the n-th wait is uniform in [0, base * 2^n] seconds. Where
    the service sends Retry-After, the wait is at least that.

    Attributes:
        tries: number of calls, including the first.
        base, longest: seconds; after a Retry-After above `longest` the call is not repeated.
    """

    tries: int = 4
    base: float = 0.5
    longest: float = 30.0

    def wait(self, tried: int, retry_after: float | None, draw: Callable[[], float]) -> float:
        """Seconds before the next call.

        Args:
            tried: calls made so far, at least 1.
            retry_after: seconds that the service asks for; None where it asks for none.
            draw: gives a number in [0, 1).
        """
        if retry_after is not None:
            return min(self.longest, retry_after + self.base * draw())
        return min(self.longest, self.base * 2.0**tried) * draw()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form that RFC 9110 allows; None where there is none."""
    value = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
