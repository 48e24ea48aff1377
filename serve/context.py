"""What routes share: built once a replica, reached as `Depends(context_of)`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Request

from copylens.records import Verdict
from serve.auth import ApiKey, RateLimiter, parse_keys
from serve.generation import GenerationBackend
from serve.policy import Policy, Ruling, parse_policy
from serve.settings import ServeArgs
from serve.watched import Watched
from serve.wire import Backend

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


@dataclass
class Context:
    """The Ingress replica's state.

    Attributes:
        keys: None where access is open.
        counted: told of every verdict that is answered.
        generation: who writes; None where nothing is to be written.
        draining: no new request is taken any more.
    """

    backend: Backend
    args: ServeArgs
    policy: Current[Policy]
    keys: Current[tuple[ApiKey, ...]] | None
    limiter: RateLimiter
    counted: Callable[[Verdict, Ruling], None] = field(default=lambda verdict, ruling: None)
    generation: GenerationBackend | None = None
    draining: bool = False


def make_context(
    args: ServeArgs, backend: Backend, counted: Callable[[Verdict, Ruling], None] | None = None
) -> Context:
    """Reads the policy and the keys.

    Raises:
        CopyLensError: one of the files cannot be used.
    """
    context = Context(
        backend=backend,
        args=args,
        policy=Watched(args.policy, parse_policy) if args.policy else Fixed(),
        keys=Watched(args.keys, parse_keys) if args.keys else None,
        limiter=RateLimiter(args.limits.requests_per_minute),
    )
    if counted is not None:
        context.counted = counted
    return context


async def context_of(request: Request) -> Context:
    """The replica's context, for routes. No coroutine would mean a thread for every request."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]
