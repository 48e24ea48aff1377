"""A Python client of the service: verdicts, generations and the registry over HTTP.

with Client("http://localhost:8000", api_key="...") as client:
    verdict = client.attribute("The old captain said nothing.")
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx2
from pydantic import ValidationError

from copylens.client.records import EVENT_TYPES, GenerationEvent, R, Registry, ServedVerdict, parse
from copylens.client.retries import Retries, retry_after
from copylens.errors import CopyLensError, one_line

_RETRIED = (429, 503)


class ServiceError(CopyLensError):
    """The service refused the request, failed, or cannot be reached: one line.

    Attributes:
        status: the HTTP status; None where there was no response.
        code: the service's error code; None where it sent none.
    """

    def __init__(self, message: str, status: int | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.code = status, code


class Client:
    """A client of one service with one API key. Not thread-safe."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        retries: Retries | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        """Opens no connection yet.

        Args:
            url: of the service, e.g. http://localhost:8000.
            api_key: sent as `Authorization: Bearer`.
            timeout: seconds without a byte of the response; in a stream between two events.
            connect_timeout: seconds.
            retries: default: 4 tries.
            sleep: waits so many seconds; replaced in tests.
        """
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        limits = httpx2.Timeout(timeout, connect=connect_timeout)
        self._url = url.rstrip("/")
        try:
            known = httpx2.URL(self._url)
        except httpx2.InvalidURL as error:
            raise ServiceError(f"'{url}' is no address of a service: {error}") from None
        if known.scheme not in ("http", "https") or not known.host:
            raise ServiceError(f"'{url}' is no address of a service; try http://localhost:8000")
        self._http = httpx2.Client(base_url=known, headers=headers, timeout=limits)
        self._retries = retries if retries is not None else Retries()
        self._sleep = sleep

    def __enter__(self) -> "Client":
        """Closes its connections at the end of the `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def attribute(
        self,
        text: str,
        alpha: float | None = None,
        timeline: bool = True,
        evidence: bool = False,
        id: str | None = None,
        document: str | None = None,
    ) -> ServedVerdict:
        """The verdict on one text.

        Args:
            id, document: your own names of the text and of what it is a part of; the verdict
                gives them back.

        Raises:
            ServiceError: the text cannot be scored, or there is no response.
        """
        body = {
            "text": text,
            **{k: v for k, v in (("id", id), ("document", document)) if v is not None},
            **_options(alpha, timeline, evidence),
        }
        return _parsed(ServedVerdict, self._call("POST", "/v1/attribute", body))

    def attribute_many(
        self,
        texts: Sequence[str | Mapping[str, Any]],
        alpha: float | None = None,
        timeline: bool = True,
        evidence: bool = False,
        batch: int = 32,
    ) -> list[ServedVerdict | ServiceError]:
        """One verdict per text, in order; a ServiceError for a text that cannot be scored.

        Args:
            texts: strings, or mappings with `text` and its `id` and `document`.
            batch: texts per request.

        Raises:
            ServiceError: a request as a whole was refused, or there is no response.
        """
        found: list[ServedVerdict | ServiceError] = []
        for start in range(0, len(texts), batch):
            rows = texts[start : start + batch]
            part = [row if isinstance(row, str) else dict(row) for row in rows]
            body = {"texts": part, **_options(alpha, timeline, evidence)}
            for row in self._call("POST", "/v1/attribute", body)["verdicts"]:
                refused = "error" in row
                found.append(_refusal(row, 422) if refused else _parsed(ServedVerdict, row))
        return found

    def registry(self) -> Registry:
        """The sub-datasets that the service attributes texts to, and its model.

        Raises:
            ServiceError: there is no response.
        """
        return _parsed(Registry, self._call("GET", "/v1/registry"))

    def generate(self, prompt: str, **options: Any) -> Iterator[GenerationEvent]:
        """The events of a monitored generation, as they arrive.

        The request is never repeated, since it would generate another text. Closing the iterator
        ends the generation.

        Args:
            options: further keys of `POST /v1/generate`: max_tokens, temperature, top_p, seed,
                stop, every, confirm, alpha, block.

        Raises:
            ServiceError: the request was refused, or the generation failed.
        """
        body = {"prompt": prompt, **options}
        done = False
        try:
            with self._http.stream("POST", "/v1/generate", json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _error_of(answer)
                for sse in httpx2.EventSource(answer, max_event_size=None):
                    data: Any = sse.json()
                    if sse.event == "error":
                        raise _refusal({"error": data}, data.get("status"))
                    done = done or sse.event == "done"
                    # An event that a newer service adds is left out.
                    if kind := EVENT_TYPES.get(sse.event):
                        yield _parsed(kind, data)
        except httpx2.SSEError:
            raise ServiceError(
                f"{self._url} answered with something else than events", 200
            ) from None
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        if not done:
            raise ServiceError("the service broke off while the LM wrote")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a response; repeats the call, which must be idempotent, as `Retries` says."""
        tries = self._retries.tries
        for tried in range(1, tries + 1):
            wait = None
            try:
                answer = self._http.request(method, path, json=body)
            except httpx2.TransportError as error:
                problem = self._unreachable(error)
            else:
                if answer.status_code == 200:
                    return _json(answer)
                problem = _error_of(answer)
                wait = retry_after(answer.headers)
                too_long = wait is not None and wait > self._retries.longest
                if answer.status_code not in _RETRIED or too_long:
                    raise problem
            if tried == tries:
                raise problem
            self._sleep(self._retries.wait(tried, wait, random.random))
        raise AssertionError("tries is at least 1")

    def _unreachable(self, error: Exception) -> ServiceError:
        kind = "did not answer in time" if isinstance(error, httpx2.TimeoutException) else ""
        reason = kind or f"is out of reach: {one_line(error) or type(error).__name__}"
        return ServiceError(f"the service at {self._url} {reason}")


def _options(alpha: float | None, timeline: bool, evidence: bool) -> dict[str, Any]:
    """The keys of a request besides its texts; what is as the service has it is left out."""
    options = {"timeline": timeline, "alpha": alpha, "evidence": evidence or None}
    return {key: value for key, value in options.items() if value is not None}


def _parsed(kind: type[R], row: Any) -> R:
    """A record from a part of a response; a ServiceError where it is none."""
    try:
        return parse(kind, row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ServiceError(
            f"the response cannot be read: {place}: {one_line(first['msg'])}; "
            "client and service may be of different versions"
        ) from None


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise ServiceError(f"{answer.url} answered with something else than JSON", 200) from None


def _error_of(answer: httpx2.Response) -> ServiceError:
    try:
        return _refusal(answer.json(), answer.status_code)
    except (ValueError, TypeError, KeyError, AttributeError):
        # The response of a proxy, not of the service.
        line = one_line(answer.text)[:200]
        return ServiceError(
            f"HTTP {answer.status_code} from {answer.url}: {line}".rstrip(": "), answer.status_code
        )


def _refusal(body: Any, status: int | None) -> ServiceError:
    error = body["error"]
    parts = [error["message"], error.get("hint")]
    return ServiceError(one_line("; ".join(filter(None, parts))), status, error.get("code"))
