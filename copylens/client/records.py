"""Responses of the service as records: the verdict's own dataclasses, parsed by pydantic.

Keys that a newer service adds are ignored.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter

from copylens.generation.flags import Block, Flag
from copylens.records import Decision, ModelIdentity, Rights, Verdict

R = TypeVar("R")


@dataclass(frozen=True)
class ServedVerdict(Verdict):
    """A verdict with the ruling of the service's policy.

    Attributes:
        policy: {action, rule, ...} as the service sends it.
    """

    policy: dict[str, Any] | None = None


@dataclass(frozen=True)
class Token:
    """Characters that the LM added; `tokens`: number of tokens generated so far."""

    text: str
    tokens: int


@dataclass(frozen=True)
class Shares:
    """A running verdict; see `Verdict` for the meaning of its values.

    Attributes:
        shares: sub-dataset -> share.
        quoted: sub-dataset -> which part of its share is quoted.
        tokens: number of tokens generated so far.
    """

    tokens: int
    decision: Decision
    p_value: float
    ood_score: float
    unregistered: float
    shares: dict[str, float]
    quoted: dict[str, float] = field(default_factory=dict)
    abstain_reason: str | None = None


@dataclass(frozen=True)
class Done:
    """The end of a generation.

    Attributes:
        finish: stop, length or blocked.
        seed: the same request with this seed gives the same text.
        usage: prompt_tokens, completion_tokens, total_tokens.
    """

    finish: str
    seed: int
    usage: dict[str, int] = field(default_factory=dict)


GenerationEvent = Token | Shares | Flag | Block | ServedVerdict | Done
"""An event of a generation. The last ones are the verdict, unless the text is blank, and `Done`."""

# Name of an event -> its record.
EVENT_TYPES: dict[str, type[GenerationEvent]] = {
    "token": Token,
    "shares": Shares,
    "flag": Flag,
    "blocked": Block,
    "verdict": ServedVerdict,
    "done": Done,
}


@dataclass(frozen=True)
class Registry:
    """The sub-datasets that a service attributes texts to, and its model.

    Attributes:
        alpha: false-alarm level where a request has none.
        smallest_p: the smallest level that a request may name; None where an older service does
            not say.
        interval: coverage of the shares' intervals.
        generation: whether its LM can generate text.
        audit: sub-dataset -> what an audit of the LM said of it.
    """

    model: ModelIdentity
    alpha: float
    interval: float
    generation: bool
    sub_datasets: tuple[Rights, ...]
    lineage: dict[str, Any]
    smallest_p: float | None = None
    audit: dict[str, tuple[str, ...]] = field(default_factory=dict)


# Built once: that takes longer than a response.
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*EVENT_TYPES.values(), Registry)
}


def parse(kind: type[R], row: Any) -> R:
    """A record of this module, with its nested records, from JSON values.

    Raises:
        ValidationError: a field is missing, or its value has another type.
    """
    record: R = _ADAPTERS[kind].validate_python(row)
    return record
