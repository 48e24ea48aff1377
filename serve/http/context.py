"""The state that the routes of an Ingress replica share; routes get it as `Ctx`."""

from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request

from copylens.records import Verdict
from serve.api.policy import ContentPolicy, Ruling, parse_policy
from serve.http.auth import ApiKey, RateLimiter, parse_keys
from serve.ops.reloaded import ReloadedFile
from serve.ops.settings import ServeArgs
from serve.replica.generation import GenerationBackend
from serve.replica.messages import ScoringBackend


class DefaultPolicy:
    """The policy of a service without a policy file; read like a `ReloadedFile`."""

    problem: str | None = None

    def current(self) -> ContentPolicy:
        """Flags every registered sub-dataset."""
        return ContentPolicy()


class Metrics(Protocol):
    """What an Ingress replica counts."""

    def verdict(self, verdict: Verdict, ruling: Ruling) -> None:
        """Counts a verdict that was sent."""
        ...

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered; `route` is a path of /openapi.json."""
        ...


class NoMetrics:
    """Counts nothing."""

    def verdict(self, verdict: Verdict, ruling: Ruling) -> None:
        """See Metrics."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """See Metrics."""


@dataclass
class Context:
    """The Ingress replica's state.

    Attributes:
        keys: None where the service needs no API key.
        generation: None where the service does not generate.
        draining: True once the replica refuses new requests.
    """

    backend: ScoringBackend
    args: ServeArgs
    policy: ReloadedFile[ContentPolicy] | DefaultPolicy
    keys: ReloadedFile[tuple[ApiKey, ...]] | None
    limiter: RateLimiter
    metrics: Metrics = field(default_factory=NoMetrics)
    generation: GenerationBackend | None = None
    draining: bool = False


def make_context(
    args: ServeArgs,
    backend: ScoringBackend,
    generation: GenerationBackend | None = None,
    metrics: Metrics | None = None,
) -> Context:
    """Reads the policy and the keys.

    Raises:
        CopyLensError: one of the files cannot be used.
    """
    return Context(
        backend=backend,
        args=args,
        policy=ReloadedFile(args.policy, parse_policy) if args.policy else DefaultPolicy(),
        keys=ReloadedFile(args.keys, parse_keys) if args.keys else None,
        limiter=RateLimiter(args.limits.requests_per_minute),
        generation=generation,
        metrics=metrics or NoMetrics(),
    )


async def context_of(request: Request) -> Context:
    """The replica's context. A coroutine, because FastAPI would run a function in a thread."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]
