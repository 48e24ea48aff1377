"""ASGI middleware for access control: API keys, rate limits, body limits, security headers.

It wraps the whole application, so no route can answer without these checks, and a body that is too
large is refused before it is parsed.
"""

import asyncio
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.http.auth import MAX_KEY_CHARS, ApiKey, find_key
from serve.http.context import Context
from serve.http.errors import RequestError, internal_error
from serve.ops.log import LOG

# The page loads its own files only and cannot be framed.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Health checks need no key, and their Host is an address instead of the service's name.
_HEALTH = ("/healthz", "/readyz")
_API = "/v1/"
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Key of the request's scope that holds its ApiKey, or None.
KEY = "copylens.key"


class AccessMiddleware:
    """Checks each HTTP request before the application, and adds headers to each response."""

    def __init__(self, app: ASGIApp, context: Context, body_routes: Sequence[BaseRoute] = ()):
        """Wraps `app`; `body_routes`: its routes that read a body."""
        self.app = app
        self._context = context
        self._body_routes = body_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to the application, or sends a refusal."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            # The application has no WebSocket routes, and the checks below are for HTTP.
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, start = 0, time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope["path"])
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._admit(scope, headers)
            if any(route.matches(scope)[0] is Match.FULL for route in self._body_routes):
                receive = await self._body(headers, receive)
            await self.app(scope, receive, send_with_headers)
        except RequestError as refusal:
            await refusal.response()(scope, receive, send_with_headers)
        except Exception:
            LOG.exception("a request failed")
            if not status:
                await internal_error().response()(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - start
            self._context.metrics.request(_route(scope), status, seconds)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Checks Host, draining, API key and rate; raises RequestError where one of them fails."""
        path = scope["path"]
        if path in _HEALTH:
            scope[KEY] = self._key(headers)
            return
        if self._context.keys is None and _host(headers) not in _LOCAL | set(
            self._context.args.hosts
        ):
            # DNS rebinding: without keys, a foreign web page could call the service by a host name
            # that it has pointed at this address.
            raise RequestError(
                421, "wrong_host", "the service does not answer to this Host", hint="see `hosts`"
            )
        if not path.startswith(_API):
            return
        if self._context.draining:
            raise RequestError(
                503, "draining", "the service is about to stop", hint="try again", retry_after_s=5
            )
        if self._context.keys is not None:
            scope[KEY] = self._require_key(headers)

    def _require_key(self, headers: Headers) -> ApiKey:
        if not _given(headers):
            raise RequestError(
                401, "no_key", "an API key is needed", hint="send Authorization: Bearer KEY"
            )
        key = self._key(headers)
        if key is None:
            raise RequestError(
                403, "wrong_key", "this API key is not known", hint="ask for a new one"
            )
        if wait := self._context.limiter.take(key):
            limit = key.per_minute or self._context.args.limits.requests_per_minute
            raise RequestError(
                429,
                "rate",
                "this API key asks too often",
                limit,
                "requests per minute; several texts fit into one request",
                wait,
            )
        return key

    def _key(self, headers: Headers) -> ApiKey | None:
        given = _given(headers)
        if self._context.keys is None or not given or len(given) > MAX_KEY_CHARS:
            return None
        return find_key(self._context.keys.current(), given)

    async def _body(self, headers: Headers, receive: Receive) -> Receive:
        """Reads the whole body, up to the size limit; returns a `receive` that replays it."""
        limits = self._context.args.limits
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # Also prevents cross-site form posts: browsers send JSON to another site only after a
            # CORS preflight request.
            raise RequestError(
                415, "not_json", "the body must be JSON", hint="send Content-Type: application/json"
            )
        announced = headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20 and int(announced) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        try:
            async with asyncio.timeout(limits.body_s):
                body = await _read(receive, limits.body_bytes)
        except TimeoutError:
            raise RequestError(
                408, "slow_body", "the body did not arrive in time", limits.body_s, "seconds"
            ) from None
        return _replay(body, receive)


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RequestError(400, "gone", "the client left before its request was complete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            # What remains to be received is `http.disconnect`.
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413, "body_too_large", "the body has too many bytes", limit, "send several requests"
    )


def _route(scope: Scope) -> str:
    """The matched route's path template, or "other": a bounded set of values for the metrics."""
    return getattr(scope.get("route"), "path", "other")


def _given(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _host(headers: Headers) -> str:
    host = headers.get("host", "")
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    if path.startswith(_API):
        headers["Cache-Control"] = "no-store"
