"""Request and response bodies of /v1/attribute, /v1/registry and /readyz, for /openapi.json.

Records are not described twice: the schemas of a verdict, its shares, its evidence and the policy's
ruling are those of the dataclasses themselves, docstrings included.
"""

from dataclasses import dataclass
from inspect import cleandoc
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    Tag,
    model_validator,
)

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

_NAME_CHARS = 500


def _short(value: Any) -> Any:
    if len(str(value)) > _NAME_CHARS:
        raise ValueError(f"a name has at most {_NAME_CHARS} characters")
    return value


# A number is taken as its string; see `copylens.records.name_of`.
Name = Annotated[
    Annotated[StrictStr, Field(json_schema_extra={"maxLength": _NAME_CHARS})]
    | StrictInt
    | StrictFloat,
    AfterValidator(_short),
]
_ID = Field(default=None, description="the caller's own; the verdict gives it back")
_DOCUMENT = Field(
    default=None,
    description="what the text is a part of; given back, and counted by a statement of shares",
)

# Fields with a default are in every response.
_RESPONSE = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Out(BaseModel):
    """A part of a response."""

    model_config = _RESPONSE


class TextItem(BaseModel):
    """A text with the caller's own names of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    text: Text
    id: Name | None = _ID
    document: Name | None = _DOCUMENT


def _kind(value: Any) -> str:
    return "row" if isinstance(value, dict | TextItem) else "text"


_Entry = Annotated[
    Annotated[Text, Tag("text")] | Annotated[TextItem, Tag("row")], Discriminator(_kind)
]


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
                {"texts": ["One text.", "Another one."], "timeline": False, "alpha": 0.2},
                {"texts": [{"text": "One text.", "id": "7", "document": "essay 3"}]},
            ],
        },
    )

    text: Text | None = Field(default=None, description="the text; or give `texts`")
    texts: tuple[_Entry, ...] | None = Field(
        default=None, min_length=1, description="texts, or objects of a text and its names"
    )
    id: Name | None = _ID
    document: Name | None = _DOCUMENT
    timeline: StrictBool = Field(default=True, description="shares of each stretch of the text")
    evidence: StrictBool = Field(
        default=False,
        description="spans of the text that occur in registered passages, and the nearest "
        "passages; null, with `evidence_reason`, where there is no index to look in",
    )
    alpha: Level | None = Field(
        default=None,
        description="false-alarm level of `decision`; default: the model's; above the "
        "`smallest_p` of /v1/registry. It tells `unregistered` from `abstain`; the policy is not "
        "affected by it.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        if self.texts is not None and (self.id, self.document) != (None, None):
            raise ValueError("id and document belong to a text: give them in texts, as objects")
        return self

    def items(self) -> tuple[TextItem, ...]:
        """Every text with its names."""
        if self.texts is None:
            return (TextItem(text=self.text or "", id=self.id, document=self.document),)
        return tuple(
            entry if isinstance(entry, TextItem) else TextItem(text=entry) for entry in self.texts
        )


@dataclass(frozen=True, kw_only=True)
class ServedVerdict(Verdict):
    """A verdict with the policy's ruling on it; `evidence` typed for the schema."""

    __pydantic_config__ = ConfigDict(
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"description": cleandoc(Verdict.__doc__ or ""), "examples": [VERDICT]},
    )

    # A verdict holds its evidence as JSON values of this record.
    evidence: tuple[Citation, ...] | None = None  # type: ignore[assignment]
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


class FailedTextOut(ErrorOut):
    """The entry of a text that cannot be scored."""

    id: str | None
    document: str | None


class BatchOut(Out):
    """One entry per text, in order: a verdict, or an error where it cannot be scored."""

    verdicts: list[ServedVerdict | FailedTextOut]


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
    smallest_p: float = Field(description="a request's level must be above it")
    interval: float = Field(description="coverage of the interval [low, high] of a share")
    generation: bool = Field(description="whether the LM can generate: POST /v1/generate")
    sub_datasets: list[Rights]
    lineage: dict[str, Any]
    audit: dict[str, list[str]] = Field(
        description="what an audit of the LM said of sub-datasets; empty where none was made"
    )
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
