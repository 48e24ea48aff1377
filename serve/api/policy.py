"""A verdict -> what to do with the text: allow, flag or block, by whom it draws on.

The policy looks at shares and the p-value alone. It never sees the request's alpha: whoever asks
cannot ask a block away.
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
from serve.http.errors import first_mistake

Action = Literal["allow", "flag", "block"]
_SEVERITY: dict[Action, int] = {"allow": 0, "flag": 1, "block": 2}


class Threshold(Section):
    """When a rule applies: both minima are reached."""

    action: Action = "flag"
    min_share: float = Field(default=0.2, ge=0, le=1, description="of the text")
    min_p_value: float = Field(
        default=0.05, ge=0, le=1, description="below it the text does not look registered"
    )


class Rule(Threshold):
    """What holds for one holder (all its sub-datasets together) or one sub-dataset."""

    name: str = Field(min_length=1, max_length=100, description="as answers name it")
    holder: str | None = None
    sub_dataset: str | None = None
    action: Action

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.holder is None) == (self.sub_dataset is None):
            raise ValueError(f"rule '{self.name}' needs either a holder or a sub_dataset")
        return self

    def covers(self, share: Share) -> bool:
        """Whether a share is this rule's matter."""
        return share.holder == self.holder or share.sub_dataset == self.sub_dataset


class Policy(Section):
    """Rules in order; the first that covers a sub-dataset decides on it, `default` on the rest."""

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
        """Twelve hex digits that change with the content: records say which policy held."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def rule_on(self, verdict: Verdict) -> "Ruling":
        """The strictest rule that applies; among equals the one with the largest share."""
        applying = [ruling for ruling in self._claims(verdict) if ruling is not None]
        if not applying:
            return Ruling("allow", None, None, None, None, self.id)
        return max(applying, key=lambda r: (_SEVERITY[r.action], r.share or 0.0))

    def idle_rules(self, rights: Iterable[Rights]) -> list[str]:
        """Rules on holders and sub-datasets that the model does not know: misspelt, or gone."""
        known = list(rights)
        return [
            rule.name
            for rule in self.rules
            if rule.holder not in {item.holder for item in known}
            and rule.sub_dataset not in {item.sub_dataset for item in known}
        ]

    def _claims(self, verdict: Verdict) -> Iterable["Ruling | None"]:
        """Each share belongs to one rule; a rule weighs all that belongs to it together."""
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
    """What the policy says of one text.

    Attributes:
        rule: the rule that decided; None where none applied, and then the text is allowed.
        sub_dataset: the one with the largest share of those the rule weighed.
        share: in [0, 1]; of all that the rule weighed together.
        policy: the policy's id.
    """

    action: Action
    rule: str | None
    holder: str | None
    sub_dataset: str | None
    share: float | None
    policy: str


def ends_text(policy: Policy) -> BlockingPolicy:
    """The policy's `block` for a text that is being written: it ends once a flag stands.

    A running verdict on few tokens is unsure, so a block waits for the flag that confirms it.
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


def parse_policy(text: str, where: str) -> Policy:
    """Reads a policy from YAML.

    Raises:
        ConfigError: no YAML, an unknown key, a value out of its range; names `where` and the key.
    """
    try:
        values: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        summary = " ".join(str(error).split())[:200]
        raise ConfigError(f"policy '{where}' is no YAML: {summary}") from None
    # An empty file would silently mean the defaults; it is more likely half written.
    if not isinstance(values, Mapping) or not values:
        raise ConfigError(f"policy '{where}' must hold `default` or `rules`")
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        key, reason = first_mistake(error.errors())
        raise ConfigError(f"policy '{where}': {key + ': ' if key else ''}{reason}") from None
