"""The content policy: a verdict -> allow, flag or block.

It follows the decision: where that is `unregistered` or `abstain` no rule applies, and the text is
allowed. A request's alpha only tells those two from each other (`verdict.published.decide`), so a
client cannot avoid a block by its choice.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from copylens.config.section import Section
from copylens.errors import ConfigError
from copylens.generation.flags import Block, BlockingPolicy, Flag
from copylens.records import Rights, Share, Verdict
from serve.http.errors import first_validation_error

Action = Literal["allow", "flag", "block"]
_SEVERITY: dict[Action, int] = {"allow": 0, "flag": 1, "block": 2}


class Threshold(Section):
    """A rule applies where the decision is `registered` and share and p-value reach both minima."""

    action: Action = "flag"
    min_share: float = Field(default=0.2, ge=0, le=1, description="of the text")
    min_p_value: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="of the text; the decision alone asks for none",
    )


class Rule(Threshold):
    """A rule for one holder (all its sub-datasets together) or one sub-dataset."""

    name: str = Field(min_length=1, max_length=100, description="as responses name it")
    holder: str | None = None
    sub_dataset: str | None = None
    action: Action

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.holder is None) == (self.sub_dataset is None):
            raise ValueError(f"rule '{self.name}' needs either a holder or a sub_dataset")
        return self

    def covers(self, share: Share) -> bool:
        """Whether a share belongs to the rule's holder or sub-dataset."""
        return share.holder == self.holder or share.sub_dataset == self.sub_dataset


class ContentPolicy(Section):
    """Rules in order: a sub-dataset belongs to the first that covers it, else to `default`."""

    default: Threshold = Threshold()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [rule.name for rule in self.rules] + ["default"]
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rule name '{double[0]}' is taken twice")
        return self

    @cached_property
    def id(self) -> str:
        """Twelve hex digits of a hash of the content; logs and responses name the policy by it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def rule_on(self, verdict: Verdict) -> "Ruling":
        """The strictest rule that applies; among equals the one with the largest share."""
        claims = self._claims(verdict) if verdict.decision == "registered" else ()
        applying = [ruling for ruling in claims if ruling is not None]
        if not applying:
            return Ruling("allow", None, None, None, None, self.id)
        return max(applying, key=lambda r: (_SEVERITY[r.action], r.share or 0.0))

    def idle_rules(self, rights: Iterable[Rights]) -> list[str]:
        """Rules whose holder or sub-dataset the model does not know: misspelt, or removed."""
        known = list(rights)
        return [
            rule.name
            for rule in self.rules
            if rule.holder not in {item.holder for item in known}
            and rule.sub_dataset not in {item.sub_dataset for item in known}
        ]

    def _claims(self, verdict: Verdict) -> Iterable["Ruling | None"]:
        """The ruling of each rule, on the sum of the shares that belong to it."""
        left = list(verdict.shares)
        for rule in self.rules:
            claimed = [share for share in left if rule.covers(share)]
            left = [share for share in left if share not in claimed]
            yield self._ruling(rule.name, rule, claimed, verdict.p_value)
        for share in left:
            yield self._ruling("default", self.default, [share], verdict.p_value)

    def _ruling(
        self, name: str, threshold: Threshold, claimed: list[Share], p_value: float
    ) -> "Ruling | None":
        total = sum(share.share for share in claimed)
        if not claimed or total < threshold.min_share or p_value < threshold.min_p_value:
            return None
        largest = max(claimed, key=lambda share: share.share)
        return Ruling(threshold.action, name, largest.holder, largest.sub_dataset, total, self.id)


@dataclass(frozen=True)
class Ruling:
    """The policy's decision on one text.

    Attributes:
        rule: the rule that decided; None where none applied, so the text is allowed.
        holder, sub_dataset: with the largest share of those that belong to the rule.
        share: in [0, 1]; the sum over all that belong to the rule.
        policy: the policy's id.
    """

    action: Action
    rule: str | None
    holder: str | None
    sub_dataset: str | None
    share: float | None
    policy: str


def blocking_policy(policy: ContentPolicy) -> BlockingPolicy:
    """The policy's `block` rules as a live policy, which can end a running generation.

    A running verdict on few tokens is uncertain, so a block also needs a raised flag.
    """

    def judge(verdict: Verdict, flag: Flag | None) -> Block | None:
        ruling = policy.rule_on(verdict)
        if ruling.action != "block" or flag is None or flag.sub_dataset is None:
            return None
        reason = (
            f"the text draws on {ruling.sub_dataset} ({ruling.holder}), share {ruling.share:.2f}; "
            f"the rule '{ruling.rule}' blocks it"
        )
        return Block(reason, ruling.sub_dataset, ruling.holder)

    return judge


def parse_policy(text: str, where: str) -> ContentPolicy:
    """Reads a policy from YAML.

    Raises:
        ConfigError: no YAML, an unknown key, a value out of its range; names `where` and the key.
    """
    try:
        values: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        summary = " ".join(str(error).split())[:200]
        raise ConfigError(f"policy '{where}' is no YAML: {summary}") from None
    # An empty file is more likely half written than meant as "use the defaults".
    if not isinstance(values, Mapping) or not values:
        raise ConfigError(f"policy '{where}' must hold `default` or `rules`")
    try:
        return ContentPolicy.model_validate(values)
    except ValidationError as error:
        key, reason = first_validation_error(error.errors())
        raise ConfigError(f"policy '{where}': {key + ': ' if key else ''}{reason}") from None
