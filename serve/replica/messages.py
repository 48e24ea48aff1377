"""Messages between the Ingress and the Scorer deployment; without Ray, so tests need no cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from copylens.records import ModelIdentity, Rights, Verdict


@dataclass(frozen=True)
class FailedText:
    """A text without a verdict.

    Attributes:
        reason: None for an unexpected error, which is in the log.
        least_alpha: the smallest level that the model allows, where the request's is smaller.
    """

    reason: str | None
    least_alpha: float | None = None


@dataclass(frozen=True)
class ScoreResponse:
    """One entry per text, in order; `replica` names the Scorer that answered."""

    verdicts: tuple[Verdict | FailedText, ...]
    replica: str = ""


@dataclass(frozen=True)
class Overloaded:
    """The Scorer's queue has no room for the request.

    Attributes:
        waiting: texts in its queue, of at most `limit`.
        wait_s: seconds until all texts in its queue are scored.
        room_s: seconds until it would accept a request like this one.
        replica: names the Scorer.
    """

    waiting: int
    limit: int
    wait_s: float
    room_s: float = 0.0
    replica: str = ""


@dataclass(frozen=True)
class NotReady:
    """No model is loaded."""

    reason: str


@dataclass(frozen=True)
class ModelStatus:
    """The loaded model, and the last attempt to load another version.

    Attributes:
        model: None where none is loaded.
        outcome: of the last attempt: "loaded" or "failed"; None before the first.
        version: that was tried last.
        reason: why it failed, or why the registry cannot be read.
        seconds_ago: since the last attempt.
    """

    model: ModelIdentity | None
    outcome: str | None = None
    version: str | None = None
    reason: str | None = None
    seconds_ago: float | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """The loaded model and the sub-datasets that it can attribute a text to.

    Attributes:
        alpha: default false-alarm level.
        smallest_p: the smallest level that a request may name.
        interval: coverage of the shares' intervals.
        writes: whether its LM can generate text; an encoder cannot.
        audit: sub-dataset -> what an audit of the LM said of it; empty where there was none.
    """

    model: ModelIdentity
    alpha: float
    smallest_p: float
    interval: float
    writes: bool
    rights: tuple[Rights, ...]
    lineage: dict[str, Any]
    audit: dict[str, tuple[str, ...]]


class ScoringBackend(Protocol):
    """What the routes need of the Scorer deployment. Every method may raise RequestError."""

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | FailedText, ...]:
        """One entry per text, in order; RequestError 504 after `seconds`."""
        ...

    async def status(self) -> ModelStatus:
        """The loaded model; answers within two seconds even where no Scorer does."""
        ...

    async def registered(self) -> RegisteredModel:
        """The loaded model and its sub-datasets; RequestError 503 where none is loaded."""
        ...
