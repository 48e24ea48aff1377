"""A Python client of the service: verdicts, generations and the registry over HTTP.

with Client("http://localhost:8000", api_key="...") as client:
    verdict = client.attribute("The old captain said nothing.")
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from copylens.client.records import (
    Registry,
    ServedVerdict,
    Told,
    registry_from,
    told_from,
    verdict_from,
)
from copylens.errors import CopyLensError

_AGAIN = (429, 503)


class ServiceError(CopyLensError):
    """The service refused, failed, or is out of reach: one line.

    Attributes:
        status: the HTTP status; None where there was no answer.
        code: the service's own word for it; None where it gave none.
    """

    def __init__(self, message: str, status: int | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Retries:
    """When a call is made again: after 429 and 503, and where no answer came.

    The n-th wait is drawn from [0, base * 2^n] seconds, so that clients that failed together do
    not come back together. Where the service says how long to wait, that is the least.

    Attributes:
        tries: calls in all, the first one included.
        base, longest: seconds; a service that asks for more than `longest` is not asked again.
    """

    tries: int = 4
    base: float = 0.5
    longest: float = 30.0

    def wait(self, tried: int, asked: float | None, draw: Callable[[], float]) -> float:
        """Seconds before the next call, after `tried` >= 1 calls; `draw` gives a number in
        [0, 1)."""
        backoff = min(self.longest, self.base * 2**tried) * draw()
        return backoff if asked is None else min(self.longest, asked + self.base * draw())


class Client:
    """One service, one key. Not for several threads at once."""

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
            url: where the service is, e.g. http://localhost:8000.
            api_key: sent as `Authorization: Bearer`.
            timeout: seconds without a byte of the answer; in a stream between two events.
            connect_timeout: seconds.
            retries: default: 4 tries.
            sleep: how to wait; for tests.
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
    ) -> ServedVerdict:
        """The verdict on one text.

        Raises:
            ServiceError: the text cannot be scored, or there is no answer.
        """
        options = _given(alpha=alpha, evidence=evidence or None)
        body = {"text": text, "timeline": timeline, **options}
        return verdict_from(self._call("POST", "/v1/attribute", body))

    def attribute_many(
        self,
        texts: Sequence[str],
        alpha: float | None = None,
        timeline: bool = True,
        evidence: bool = False,
        batch: int = 32,
    ) -> list[ServedVerdict | ServiceError]:
        """One verdict per text, in order; a text that cannot be scored costs only itself.

        Args:
            batch: texts per request.

        Raises:
            ServiceError: a request as a whole was refused, or there is no answer.
        """
        found: list[ServedVerdict | ServiceError] = []
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            options = _given(alpha=alpha, evidence=evidence or None)
            body = {"texts": part, "timeline": timeline, **options}
            rows = self._call("POST", "/v1/attribute", body)["verdicts"]
            found += [_refusal(row, 422) if "error" in row else verdict_from(row) for row in rows]
        return found

    def registry(self) -> Registry:
        """What the service protects, and by which model.

        Raises:
            ServiceError: there is no answer.
        """
        return registry_from(self._call("GET", "/v1/registry"))

    def generate(self, prompt: str, **options: Any) -> Iterator[Told]:
        """What the LM writes, and what is said of it, as it happens.

        It is asked for once: a second call would write anew. Closing the iterator ends it.

        Args:
            prompt: what the LM goes on from.
            options: further keys of `POST /v1/generate`: max_tokens, temperature, top_p, seed,
                stop, every, confirm, alpha, block.

        Raises:
            ServiceError: the request was refused, or the generation broke off.
        """
        body = {"prompt": prompt, **options}
        done = False
        try:
            with self._http.stream("POST", "/v1/generate", json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _error_of(answer)
                for name, data in _events(answer.iter_lines()):
                    if name == "error":
                        raise _refusal({"error": data}, data.get("status"))
                    told = told_from(name, data)
                    done = done or name == "done"
                    if told is not None:
                        yield told
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        if not done:
            raise ServiceError("the service broke off while the LM wrote")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """A call that may be made twice without harm; all but `generate` are."""
        tries = self._retries.tries
        for tried in range(1, tries + 1):
            asked = None
            try:
                answer = self._http.request(method, path, json=body)
            except httpx2.TransportError as error:
                problem = self._unreachable(error)
            else:
                if answer.status_code == 200:
                    return _json(answer)
                problem = _error_of(answer)
                asked = _retry_after(answer)
                too_long = asked is not None and asked > self._retries.longest
                if answer.status_code not in _AGAIN or too_long:
                    raise problem
            if tried == tries:
                raise problem
            self._sleep(self._retries.wait(tried, asked, random.random))
        raise AssertionError("tries is at least 1")

    def _unreachable(self, error: Exception) -> ServiceError:
        kind = "did not answer in time" if isinstance(error, httpx2.TimeoutException) else ""
        reason = kind or f"is out of reach: {_line(str(error)) or type(error).__name__}"
        return ServiceError(f"the service at {self._url} {reason}")


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events: name and data of each."""
    name, data = "message", ""
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:]
        elif not line and data:
            yield name, json.loads(data)
            name, data = "message", ""


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise ServiceError(f"{answer.url} answered with something else than JSON", 200) from None


def _error_of(answer: httpx2.Response) -> ServiceError:
    try:
        return _refusal(answer.json(), answer.status_code)
    except (ValueError, TypeError, KeyError, AttributeError):
        # A proxy's page, not the service's own words.
        line = _line(answer.text)[:200]
        return ServiceError(
            f"HTTP {answer.status_code} from {answer.url}: {line}".rstrip(": "), answer.status_code
        )


def _refusal(body: Any, status: int | None) -> ServiceError:
    error = body["error"]
    parts = [error["message"], error.get("hint")]
    return ServiceError(_line("; ".join(filter(None, parts))), status, error.get("code"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _retry_after(answer: httpx2.Response) -> float | None:
    """Seconds, from either form that RFC 9110 allows; None where there is none."""
    value = answer.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
