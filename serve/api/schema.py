"""Request and response bodies of /v1/attribute, /v1/registry and /readyz, for /openapi.json.

Records are not described twice: the schemas of a verdict, its shares, its evidence and the policy's
ruling are those of the dataclasses themselves, docstrings included.
"""

from dataclasses import dataclass
from inspect import cleandoc
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from copylens.corpus.checks import CONTROL
from copylens.evidence.index import Citation
from copylens.records import ModelIdentity, Rights, Verdict
from serve.api.policy import Ruling
from serve.api.schema_examples import REGISTRY, VERDICT
from serve.replica.generation import Level

# The checks of `serve.http.limits` as a pattern: at least one character that is not white space,
# and no control character.
_CONTROL = CONTROL.pattern[1:-1]
_PATTERN = rf"^[^{_CONTROL}]*[^\s\x85{_CONTROL}][^{_CONTROL}]*$"
# Strict: a number is not accepted as a text.
Text = Annotated[
    str,
    StringConstraints(strict=True),
    Field(json_schema_extra={"pattern": _PATTERN}),
]

# Fields with a default are in every response.
_RESPONSE = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Out(BaseModel):
    """A part of a response."""

    model_config = _RESPONSE


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
        description="spans of the text that occur in registered passages, and the nearest "
        "passages; an empty list where the model has no index",
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


@dataclass(frozen=True, kw_only=True)
class ServedVerdict(Verdict):
    """A verdict with the policy's ruling on it; `evidence` typed for the schema."""

    __pydantic_config__ = ConfigDict(
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"description": cleandoc(Verdict.__doc__ or ""), "examples": [VERDICT]},
    )

    # A verdict holds its evidence as JSON values of this record.
    evidence: tuple[Citation, ...] = ()  # type: ignore[assignment]
    policy: Ruling


class ErrorBody(Out):
    """Why a request was refused."""

    code: str
    message: str
    limit: float | None = Field(description="the limit that was exceeded, if any")
    hint: str | None = Field(description="what the caller can do")
    type: Literal["invalid_request_error", "server_error"] = Field(description="as in OpenAI's API")
    param: str | None = Field(description="the invalid field, if any")


class ErrorOut(Out):
    """The body of every refusal."""

    error: ErrorBody


class BatchOut(Out):
    """One entry per text, in order: a verdict, or an error where it cannot be scored."""

    verdicts: list[ServedVerdict | ErrorOut]


class PolicyInfo(Out):
    """The policy in use, and its rules that can never apply."""

    id: str
    idle_rules: list[str] = Field(description="their holder or sub-dataset is not registered")
    problem: str | None = Field(description="why the newest policy file is not in use")


class RegistryOut(Out):
    """The sub-datasets that the service attributes texts to, and its model."""

    model_config = ConfigDict(**_RESPONSE, json_schema_extra={"examples": [REGISTRY]})

    model: ModelIdentity
    alpha: float = Field(description="false-alarm level where a request has none")
    interval: float = Field(description="coverage of the interval [low, high] of a share")
    generation: bool = Field(description="whether the LM can generate: POST /v1/generate")
    sub_datasets: list[Rights]
    lineage: dict[str, Any]
    policy: PolicyInfo


class ReloadOut(Out):
    """The last attempt to load another version of the model."""

    outcome: Literal["loaded", "failed"] | None
    version: str | None = Field(description="the version that was tried")
    reason: str | None = Field(description="why it failed; hidden from callers without an API key")
    seconds_ago: float | None


class ReadyOut(Out):
    """Whether the service can score texts, with which version, and the last reload."""

    ready: bool
    draining: bool
    model: ModelIdentity | None
    reload: ReloadOut
