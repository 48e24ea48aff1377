"""What the service sends, as records. Keys that a newer service adds are ignored."""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from copylens.generation.flags import Block, Flag
from copylens.records import Decision, ModelIdentity, Rights, Share, TimelineItem, Verdict

_R = TypeVar("_R")


@dataclass(frozen=True)
class ServedVerdict(Verdict):
    """A verdict, and what the service's policy makes of it.

    Attributes:
        policy: {action, rule, ...} as the service gives it; None where it has no policy.
    """

    policy: dict[str, Any] | None = None


@dataclass(frozen=True)
class Token:
    """Characters that the LM added, and the tokens it has written so far."""

    text: str
    tokens: int


@dataclass(frozen=True)
class Shares:
    """A running verdict; see `Verdict` for what the figures mean.

    Attributes:
        shares: sub-dataset -> share.
        tokens: written so far.
    """

    tokens: int
    decision: Decision
    p_value: float
    ood_score: float
    unregistered: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Done:
    """The end of a generation.

    Attributes:
        finish: stop, length or blocked.
        seed: asked for again it gives the same text.
        usage: prompt_tokens, completion_tokens, total_tokens.
    """

    finish: str
    seed: int
    usage: dict[str, int] = field(default_factory=dict)


Told = Token | Shares | Flag | Block | ServedVerdict | Done
"""What a generation tells: its end is a verdict, unless the text is blank, and `Done`."""


@dataclass(frozen=True)
class Registry:
    """What a service protects, and by which model.

    Attributes:
        alpha: false-alarm level where a request names none.
        interval: coverage of the shares' intervals.
        generation: whether its LM can write.
    """

    model: ModelIdentity
    alpha: float
    interval: float
    generation: bool
    sub_datasets: tuple[Rights, ...]
    lineage: dict[str, Any]


def verdict_from(row: dict[str, Any]) -> ServedVerdict:
    """The inverse of `Verdict.to_dict`."""
    parts = {
        "shares": tuple(_record(Share, item) for item in row["shares"]),
        "timeline": tuple(_record(TimelineItem, item) for item in row["timeline"]),
        "model": _record(ModelIdentity, row["model"]),
        "evidence": tuple(row.get("evidence", ())),
    }
    return _record(ServedVerdict, {**row, **parts})


def told_from(name: str, data: dict[str, Any]) -> Told | None:
    """An event of a generation; None for one that is not known here."""
    if name == "verdict":
        return verdict_from(data)
    kinds: dict[str, type[Token | Shares | Flag | Block | Done]] = {
        "token": Token,
        "shares": Shares,
        "flag": Flag,
        "blocked": Block,
        "done": Done,
    }
    return _record(kinds[name], data) if name in kinds else None


def registry_from(row: dict[str, Any]) -> Registry:
    """`GET /v1/registry`."""
    return Registry(
        model=_record(ModelIdentity, row["model"]),
        alpha=row["alpha"],
        interval=row["interval"],
        generation=row["generation"],
        sub_datasets=tuple(_record(Rights, item) for item in row["sub_datasets"]),
        lineage=row["lineage"],
    )


def _record(kind: type[_R], row: dict[str, Any]) -> _R:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in row.items() if key in known})
