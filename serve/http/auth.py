"""API keys and their rate limits. The keys file holds hashes, so a leaked file reveals no key.

Keys are 256 random bits, so a fast hash (SHA-256) is as safe as a slow password hash.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from copylens.errors import ConfigError

_PREFIX = "copylens_"
_LINE = re.compile(r"(?P<name>[\w.@-]{1,64})\s+sha256:(?P<hash>[0-9a-f]{64})(\s+(?P<rate>\S+))?")
_RATE = re.compile(r"(\d{1,7})/min")
# Longer keys are not hashed at all.
MAX_KEY_CHARS = 256


@dataclass(frozen=True)
class ApiKey:
    """One line of the keys file.

    Attributes:
        name: the key's owner; logs contain the name, never the key.
        sha256: hex digest of the key.
        per_minute: requests; None = the service's default.
    """

    name: str
    sha256: str
    per_minute: float | None = None


def new_key(name: str, per_minute: int | None = None) -> tuple[str, str]:
    """A new key, and its line for the keys file.

    Raises:
        ConfigError: the name is empty, too long, or has a character that the file cannot hold.
    """
    key = _PREFIX + secrets.token_urlsafe(32)
    rate = "" if per_minute is None else f" {per_minute}/min"
    line = f"{name} sha256:{_digest(key)}{rate}"
    if not _LINE.fullmatch(line):
        raise ConfigError(
            f"'{name}' cannot name a key; take 1 to 64 letters, digits, '.', '_', '@' or '-'"
        )
    return key, line


def parse_keys(text: str, where: str) -> tuple[ApiKey, ...]:
    """Reads a keys file: `NAME sha256:HASH [N/min]` a line; blank lines and # are skipped.

    Raises:
        ConfigError: a line is malformed, or a name or hash occurs twice; the message names it.
    """
    keys: list[ApiKey] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition("#")[0].strip()
        if line:
            keys.append(_parse_line(line, f"keys file '{where}', line {number}"))
    for attribute in ("name", "sha256"):
        values = [getattr(key, attribute) for key in keys]
        if len(set(values)) < len(values):
            raise ConfigError(f"keys file '{where}': a {attribute} stands there twice")
    return tuple(keys)


def find_key(keys: tuple[ApiKey, ...], given: str) -> ApiKey | None:
    """The entry of a key, or None. Compares with all entries in constant time."""
    digest = _digest(given)
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


@dataclass
class _Bucket:
    tokens: float
    seen: float


class RateLimiter:
    """A token bucket per key, with a capacity of ten seconds of its rate (at least one request).

    It counts in one process: with N Ingress replicas a key gets up to N times its rate.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic):
        self._default = per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: ApiKey) -> float:
        """Takes one token for a request.

        Returns:
            0 where the request is allowed; otherwise the seconds until a token is available.
        """
        per_second = (key.per_minute or self._default) / 60
        burst = max(1.0, 10 * per_second)
        now = self._clock()
        bucket = self._buckets.setdefault(key.name, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.seen) * per_second)
        bucket.seen = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / per_second
        bucket.tokens -= 1
        return 0.0


def _parse_line(line: str, where: str) -> ApiKey:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ConfigError(f"{where} is not `NAME sha256:HASH [N/min]`; see `copylens keys new`")
    if found["rate"] is None:
        return ApiKey(found["name"], found["hash"])
    rate = _RATE.fullmatch(found["rate"])
    if rate is None or int(rate[1]) < 1:
        raise ConfigError(f"{where}: a rate is N/min with N of at least 1")
    return ApiKey(found["name"], found["hash"], float(rate[1]))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
