"""Refusals: one line each, as JSON, with what was exceeded and what to do."""

import math
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse


@dataclass
class RequestError(Exception):
    """A request that is not answered.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        code: for programs; stable.
        message: what and where, one line; never repeats what the client sent.
        limit: the limit that was passed, if one was.
        hint: what to do.
        retry_after_s: when it may work, for 429 and 503.
    """

    status: int
    code: str
    message: str
    limit: float | None = None
    hint: str | None = None
    retry_after_s: float | None = None

    def body(self) -> dict[str, Any]:
        """`{"error": {...}}` with all four keys always there."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "limit": self.limit,
                "hint": self.hint,
            }
        }

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        headers = {}
        if self.retry_after_s is not None:
            # Whole seconds, as RFC 9110 wants them; 0 would invite a storm.
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="copylens"'
        return JSONResponse(self.body(), self.status, headers)


def internal() -> RequestError:
    """What a client learns of a fault of ours: nothing that a log should hold."""
    return RequestError(
        500, "internal", "the request failed for a reason of ours", hint="see the service's log"
    )
