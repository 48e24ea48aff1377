"""Refusals as JSON: one line that says what was exceeded and what to do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

# Retry-After of a generation that was refused: until another one ends or a replica restarts.
_RETRY_S = 5.0


@dataclass
class RequestError(Exception):
    """A request that is refused or failed.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        code: machine-readable and stable.
        message: one line, what and where; never contains a text that the client sent.
        limit: the limit that was exceeded, if any.
        hint: what the caller can do.
        retry_after_s: seconds until a retry may succeed, for 429 and 503.
        param: the invalid field, if any.
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
        """`{"error": {...}}`, always with all keys; `type` and `param` are as in OpenAI's API."""
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
        """The HTTP response."""
        headers = {}
        if self.retry_after_s is not None:
            # Whole seconds (RFC 9110); at least 1, since 0 would make all clients retry at once.
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="copylens"'
        return JSONResponse(self.body(), self.status, headers)


def error_from_event(data: Mapping[str, Any]) -> RequestError:
    """The error that the data of a generation's `error` event describes."""
    retry = _RETRY_S if data["status"] in (429, 503) else None
    return RequestError(
        data["status"], data["code"], data["message"], hint=data["hint"], retry_after_s=retry
    )


def first_validation_error(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Field and rule of pydantic's first error; never the value, which may be a user's text."""
    first = errors[0]
    # Keys are user input: of any length, with any characters.
    place = plain_line(".".join(str(part) for part in first["loc"]))[:100]
    return place, plain_line(first["msg"].removeprefix("Value error, "))[:200]


def plain_line(text: str) -> str:
    """One line that is valid Unicode: lone surrogates become `?`."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def internal_error() -> RequestError:
    """The response to an unexpected exception: no details, which stand in the log."""
    return RequestError(
        500, "internal", "the request failed for a reason of ours", hint="see the service's log"
    )
