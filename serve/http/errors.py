"""Refusals: one line each, as JSON, with what was exceeded and what to do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

# By then a generation has ended, or the replica is back.
_RETRY_S = 5.0


@dataclass
class RequestError(Exception):
    """A request that is not answered.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        code: for programs; stable.
        message: what and where, one line; never repeats a text that the client sent.
        limit: the limit that was passed, if one was.
        hint: what to do.
        retry_after_s: when it may work, for 429 and 503.
        param: the field that is wrong, if it is one.
    """

    status: int
    code: str
    message: str
    limit: float | None = None
    hint: str | None = None
    retry_after_s: float | None = None
    param: str | None = None

    def __post_init__(self) -> None:
        self.message = plain_line(self.message)

    def body(self) -> dict[str, Any]:
        """`{"error": {...}}` with all keys always there; `type` and `param` are OpenAI's."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "limit": self.limit,
                "hint": self.hint,
                "type": "server_error" if self.status >= 500 else "invalid_request_error",
                "param": self.param,
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


def broken_off(told: Mapping[str, Any]) -> RequestError:
    """What the `error` event of a generation tells, as an answer of its own."""
    retry = _RETRY_S if told["status"] in (429, 503) else None
    return RequestError(
        told["status"], told["code"], told["message"], hint=told["hint"], retry_after_s=retry
    )


def first_mistake(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Field and rule of the first of pydantic's errors; never the value, which may be a text."""
    first = errors[0]
    # Keys come from whoever asks: they may hold anything, and be long.
    place = plain_line(".".join(str(part) for part in first["loc"]))[:100]
    return place, plain_line(first["msg"].removeprefix("Value error, "))[:200]


def plain_line(text: str) -> str:
    """One line that any encoding of JSON can carry: halves of surrogate pairs become `?`."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def internal() -> RequestError:
    """What a client learns of a fault of ours: nothing that a log should hold."""
    return RequestError(
        500, "internal", "the request failed for a reason of ours", hint="see the service's log"
    )
