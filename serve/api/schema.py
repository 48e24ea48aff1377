"""What goes over the wire. `VerdictOut` mirrors `copylens.records.Verdict`, the contract."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from copylens.corpus.checks import CONTROL
from copylens.records import Basis, Decision
from serve.api.evidence_schema import EXAMPLE, EvidenceOut
from serve.api.policy import Action
from serve.replica.generation import Level

_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_MODEL = {"name": "copylens", "version": "7", "probe": "EleutherAI/pythia-70m"}
_VERDICT: dict[str, Any] = {
    "text_sha256": _SHA,
    "decision": "registered",
    "p_value": 0.62,
    "ood_score": 0.8,
    "shares": [
        {
            "sub_dataset": "novels",
            "holder": "Sea Press",
            "license": "all rights reserved",
            "share": 0.81,
            "low": 0.7,
            "high": 0.9,
            "basis": "trained_on",
        }
    ],
    "unregistered": 0.19,
    "timeline": [{"start": 0, "end": 141, "shares": {"novels": 0.93}}],
    "model": {**_MODEL, "probe_revision": None},
    "tokens": 33,
    "truncated": False,
    "evidence": [EXAMPLE],
    "policy": {
        "action": "flag",
        "rule": "default",
        "holder": "Sea Press",
        "sub_dataset": "novels",
        "share": 0.81,
        "policy": "b1946ac92492",
    },
}

_BASIS = (
    "trained_on: an audit found that the LM was trained on this sub-dataset; "
    "resemblance: no audit found that, the share says that the text is like it and no more. "
    "Neither says that the text was caused by it."
)

# What `serve.http.limits` refuses one by one, as /openapi.json can say it: a word, no control
# character.
_CONTROL = CONTROL.pattern[1:-1]
_PATTERN = rf"^[^{_CONTROL}]*[^\s\x85{_CONTROL}][^{_CONTROL}]*$"
# Strict: a number is no text.
Text = Annotated[
    str,
    StringConstraints(strict=True),
    Field(json_schema_extra={"pattern": _PATTERN}),
]


class Out(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class AttributeRequest(BaseModel):
    """One text or several; several are answered in their order."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["text"],
                    "properties": {"text": {"type": "string"}, "texts": {"type": "null"}},
                },
                {
                    "required": ["texts"],
                    "properties": {"text": {"type": "null"}, "texts": {"type": "array"}},
                },
            ],
            "examples": [
                {"text": "The old captain said nothing, and the ship went on."},
                {"texts": ["One text.", "Another one."], "timeline": False, "alpha": 0.01},
            ],
        },
    )

    text: Text | None = Field(default=None, description="the text; or give `texts`")
    texts: tuple[Text, ...] | None = Field(default=None, min_length=1)
    timeline: StrictBool = Field(default=True, description="shares of each stretch of the text")
    evidence: StrictBool = Field(
        default=False,
        description="spans of the text that stand in registered passages, and the nearest ones",
    )
    alpha: Level | None = Field(
        default=None,
        description="false-alarm level of `decision`; default: the model's. The policy is not "
        "affected by it.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


class ShareOut(Out):
    """One sub-dataset's share of the text with its interval, all in [0, 1]."""

    sub_dataset: str
    holder: str
    license: str
    share: float
    low: float
    high: float
    basis: Basis = Field(description=_BASIS)


class TimelineOut(Out):
    """Shares of one stretch; character offsets, end exclusive."""

    start: int
    end: int
    shares: dict[str, float]


class ModelOut(Out):
    """Which scorer made the verdict."""

    name: str
    version: str
    probe: str
    probe_revision: str | None


class PolicyOut(Out):
    """What the policy says: the rule that decided, and on what it did."""

    action: Action
    rule: str | None = Field(description="null: no rule applied, and the text is allowed")
    holder: str | None
    sub_dataset: str | None
    share: float | None = Field(description="of all that the rule weighed together")
    policy: str = Field(description="changes with the policy's content")


class VerdictOut(Out):
    """The answer for one text, and what the policy makes of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_VERDICT]})

    text_sha256: str
    decision: Decision
    p_value: float = Field(description="in (0, 1]; small: the text does not look registered")
    ood_score: float = Field(description="nats; larger: less likely to draw on anything registered")
    shares: list[ShareOut] = Field(description="largest first; with `unregistered` they sum to 1")
    unregistered: float
    timeline: list[TimelineOut]
    model: ModelOut
    tokens: int
    truncated: bool
    evidence: list[EvidenceOut] = Field(
        description="spans, rarest first, boilerplate last, then nearest passages; empty where "
        "none was asked for, or the model has no index"
    )
    policy: PolicyOut


class ErrorBody(Out):
    """Why a request was refused."""

    code: str
    message: str
    limit: float | None = Field(description="the limit that was passed, if one was")
    hint: str | None = Field(description="what to do")
    type: Literal["invalid_request_error", "server_error"] = Field(description="as OpenAI has it")
    param: str | None = Field(description="the field that is wrong, if it is one")


class ErrorOut(Out):
    """Every refusal has this form."""

    error: ErrorBody


class BatchOut(Out):
    """One entry a text, in order. A text that could not be scored costs only itself."""

    verdicts: list[VerdictOut | ErrorOut]


class RightsOut(Out):
    """A sub-dataset's entry in the registry."""

    sub_dataset: str
    holder: str
    license: str
    basis: Basis = Field(description=_BASIS)


class PolicyInfo(Out):
    """The policy that holds, by its id, and rules of it that can never apply."""

    id: str
    idle_rules: list[str] = Field(description="they name nothing that the model knows")
    problem: str | None = Field(description="why the newest policy file is not in use")


class RegistryOut(Out):
    """What the service protects, and by which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": {**_MODEL, "probe_revision": None},
                    "alpha": 0.05,
                    "interval": 0.9,
                    "generation": True,
                    "sub_datasets": [
                        {
                            "sub_dataset": "novels",
                            "holder": "Sea Press",
                            "license": "all rights reserved",
                            "basis": "trained_on",
                        }
                    ],
                    "lineage": {"corpus_manifest": "5d41402a", "copylens": "0.1.0"},
                    "policy": {"id": "b1946ac92492", "idle_rules": [], "problem": None},
                }
            ]
        }
    )

    model: ModelOut
    alpha: float = Field(description="false-alarm level where a request names none")
    interval: float = Field(description="coverage of the interval [low, high] of a share")
    generation: bool = Field(description="whether the LM can write: POST /v1/generate")
    sub_datasets: list[RightsOut]
    lineage: dict[str, Any]
    policy: PolicyInfo


class ReloadOut(Out):
    """The last change of the model that was tried."""

    outcome: Literal["loaded", "failed"] | None
    version: str | None = Field(description="the version that was tried")
    reason: str | None = Field(description="why it failed; only for callers who may ask")
    seconds_ago: float | None


class ReadyOut(Out):
    """Whether verdicts can be given, by which version, and how the last change went."""

    ready: bool
    draining: bool
    model: ModelOut | None
    reload: ReloadOut
