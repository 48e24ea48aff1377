"""What the web side and the scorer side tell each other. No Ray here: tests use a fake scorer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from copylens.records import ModelIdentity, Rights, Verdict


@dataclass(frozen=True)
class Failed:
    """A text without a verdict. `reason` is None where the fault is ours; the log has it."""

    reason: str | None


@dataclass(frozen=True)
class Scored:
    """One entry a text, in order, from the Scorer of that name."""

    verdicts: tuple[Verdict | Failed, ...]
    replica: str = ""


@dataclass(frozen=True)
class Busy:
    """The Scorer of that name cannot answer in time.

    Attributes:
        wait_s: seconds until its queue has moved on.
        room_s: seconds until it would take a request like this one.
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
class Status:
    """Which model answers, and how the last change of it went."""

    model: ModelIdentity | None
    outcome: str | None = None
    version: str | None = None
    reason: str | None = None
    seconds_ago: float | None = None


@dataclass(frozen=True)
class Registered:
    """What the loaded model knows.

    Attributes:
        interval: coverage of the shares' intervals.
        writes: whether its LM can write; an encoder cannot.
    """

    model: ModelIdentity
    alpha: float
    interval: float
    writes: bool
    rights: tuple[Rights, ...]
    lineage: dict[str, Any]


class Backend(Protocol):
    """The scorer side, as routes see it. Every method may raise RequestError."""

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | Failed, ...]:
        """One entry a text, in order, within so many seconds (504 beyond)."""
        ...

    async def status(self) -> Status:
        """Answers within two seconds, whatever happens."""
        ...

    async def registered(self) -> Registered:
        """What the loaded model knows (503 where none is)."""
        ...
