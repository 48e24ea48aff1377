"""What routes share: built once a replica, reached as `Depends(context_of)`."""

from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Request

from copylens.records import Verdict
from serve.api.policy import Policy, Ruling, parse_policy
from serve.http.auth import ApiKey, RateLimiter, parse_keys
from serve.ops.reloaded import Watched
from serve.ops.settings import ServeArgs
from serve.replica.generation import GenerationBackend
from serve.replica.messages import Backend

T_co = TypeVar("T_co", covariant=True)


class Current(Protocol[T_co]):
    """What has a latest state: a watched file, or something fixed."""

    problem: str | None

    def current(self) -> T_co:
        """The latest good state."""
        ...


class Fixed:
    """The default policy, which no file can change."""

    problem: str | None = None

    def current(self) -> Policy:
        """Flags everything registered."""
        return Policy()


class Metrics(Protocol):
    """What the replica counts."""

    def verdict(self, verdict: Verdict, ruling: Ruling) -> None:
        """A verdict that is answered."""
        ...

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` as in /openapi.json."""
        ...


class Unmetered:
    """Counts nothing."""

    def verdict(self, verdict: Verdict, ruling: Ruling) -> None:
        """See Metrics."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """See Metrics."""


@dataclass
class Context:
    """The Ingress replica's state.

    Attributes:
        keys: None where access is open.
        generation: who writes; None where nothing is to be written.
        draining: no new request is taken any more.
    """

    backend: Backend
    args: ServeArgs
    policy: Current[Policy]
    keys: Current[tuple[ApiKey, ...]] | None
    limiter: RateLimiter
    metrics: Metrics = field(default_factory=Unmetered)
    generation: GenerationBackend | None = None
    draining: bool = False


def make_context(
    args: ServeArgs,
    backend: Backend,
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
        policy=Watched(args.policy, parse_policy) if args.policy else Fixed(),
        keys=Watched(args.keys, parse_keys) if args.keys else None,
        limiter=RateLimiter(args.limits.requests_per_minute),
        generation=generation,
        metrics=metrics or Unmetered(),
    )


async def context_of(request: Request) -> Context:
    """The replica's context, for routes. No coroutine would mean a thread for every request."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]
