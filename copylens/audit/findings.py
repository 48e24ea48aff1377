"""From p-values to "trained on: yes", "no evidence" or "cannot tell, because ...".

One p-value decides: twice the smaller one of dataset inference and Min-K%++ (Bonferroni for two
tests named beforehand): the first has the most power where other sub-datasets have members, the
second needs none. Holm corrects it over sub-datasets. All other tests are reported beside it.

A large p-value is evidence only if the test had power: `no evidence` requires that members that are
likelier by `audit.smallest_gap` would have been found with probability 0.9. Without non-members of
the same sub-dataset the finding is `cannot tell`: Self-Comparison compares with other sub-datasets,
and differences between kinds of text look like training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from copylens.audit.battery import (
    LEARNED,
    PUBLISHED_TESTS,
    PassageScores,
    direction_from,
    gap,
    learned_scores,
)
from copylens.audit.passages import AuditPassage
from copylens.audit.permutation import holm, make_units, p_values
from copylens.audit.self_comparison import compare
from copylens.config.audit import AuditConfig
from copylens.records import BoolArray

Finding = Literal["trained on", "no evidence", "cannot tell"]

SELF = "self_comparison"
TESTS = (*PUBLISHED_TESTS, LEARNED, SELF)
DECIDING = (LEARNED, "min_k_plus_plus")
POWER = 0.9


def find(
    scored: Mapping[str, PassageScores], names: Sequence[str], config: AuditConfig, seed: int
) -> dict[str, dict[str, Any]]:
    """The finding for each of the named sub-datasets; the other ones only serve comparison.

    Returns:
        Name -> finding, sentence, p_value, p_holm, gap, tests, and how many passages of each kind
        in how many split groups.
    """
    # Enough permutations for the smallest possible p-value to stay below alpha when corrected.
    permutations = max(config.permutations, int(20 * len(names) / config.alpha))
    entries = {name: _measured(scored, name, permutations, seed) for name in names}
    _correct(list(entries.values()))
    for test in TESTS:
        _correct([entry["tests"][test] for entry in entries.values()])
    for name, entry in entries.items():
        entry["finding"], reason = _finding(entry, len(names), config)
        entry["sentence"] = _sentence(name, entry, reason, len(names))
    return entries


def _measured(
    scored: Mapping[str, PassageScores], name: str, permutations: int, seed: int
) -> dict[str, Any]:
    mine = scored[name]
    others = {other: item for other, item in scored.items() if other != name}
    units = mine.units
    entry = _untested(mine.groups, mine.member)
    tests = entry["tests"]
    if len(units.member):
        published = p_values(units, mine.published, permutations, seed)
        for test, p_value in zip(PUBLISHED_TESTS, published):
            tests[test]["p_value"] = float(p_value)
        weights, learned_on = direction_from(others)
        tested, scores = learned_scores(mine, weights, seed)
        tests[LEARNED]["learned_on"] = learned_on
        if len(tested.member):
            tests[LEARNED]["p_value"] = float(p_values(tested, scores, permutations, seed)[0])
        difference, error = gap(mine)
        entry["gap"] = {"nats_per_token": difference, "standard_error": error}
        deciding = [p for test in DECIDING if (p := tests[test]["p_value"]) is not None]
        entry["p_value"] = min(1.0, len(deciding) * min(deciding))
    tests[SELF] |= self_compared(mine, others)
    return entry


def _untested(groups: Sequence[str], member: BoolArray) -> dict[str, Any]:
    """What is known of a sub-dataset's passages before the LM has read any."""
    units = make_units(groups, member)
    return {
        "p_value": None,
        "gap": None,
        "arrangements": float(min(units.arrangements, 10**12)) if len(units.member) else None,
        "non_members": "matched" if (~member).any() else "none",
        "passages": {"members": int(member.sum()), "non_members": int((~member).sum())},
        "split_groups": len(set(groups)),
        "exchanged": "split groups" if units.between else "passages within split groups",
        "tests": {test: {"p_value": None} for test in TESTS},
    }


def foregone(
    items: Mapping[str, Sequence[AuditPassage]], names: Sequence[str], config: AuditConfig
) -> dict[str, str]:
    """The named sub-datasets of which no LM's scores could say more than "cannot tell".

    Returns:
        Name -> the reason, which will stand in its finding.
    """
    found = {}
    for name in names:
        mine = items[name]
        member = np.array([item.kind == "member" for item in mine], bool)
        entry = _untested([item.group for item in mine], member)
        if entry["arrangements"] is None:
            found[name] = _why_untested(entry)
        # Holm's correction leaves the largest p-value as it is.
        elif len(DECIDING) / entry["arrangements"] >= config.alpha:
            found[name] = _too_few(entry)
    return found


def self_compared(mine: PassageScores, others: Mapping[str, PassageScores]) -> dict[str, Any]:
    """Self-Comparison: members against non-members of other sub-datasets."""

    def of(item: PassageScores, member: bool) -> tuple[Any, list[str]]:
        rows = np.flatnonzero(item.member == member)
        return item.increases[rows], [item.groups[i] for i in rows]

    unread = {name: of(item, False) for name, item in others.items() if (~item.member).any()}
    found = compare(*of(mine, True), unread)
    return {"p_value": None} if found is None else vars(found)


def _correct(parts: Sequence[dict[str, Any]]) -> None:
    """Holm's correction over the sub-datasets that have a p-value."""
    asked = [item for item in parts if item["p_value"] is not None]
    for item in parts:
        item["p_holm"] = None
    for item, corrected in zip(asked, holm([item["p_value"] for item in asked])):
        item["p_holm"] = corrected


def _finding(entry: Mapping[str, Any], asked: int, config: AuditConfig) -> tuple[Finding, str]:
    """The finding, and the reason where it is not `trained on`."""
    if entry["p_value"] is None:
        return "cannot tell", _why_untested(entry)
    if entry["p_holm"] < config.alpha:
        return "trained on", ""
    if len(DECIDING) / entry["arrangements"] >= config.alpha / asked:
        return "cannot tell", _too_few(entry)
    margin = stats.norm.isf(config.alpha / asked / len(DECIDING)) + stats.norm.ppf(POWER)
    smallest = float(margin * entry["gap"]["standard_error"])
    if smallest > config.smallest_gap:
        return "cannot tell", (
            f"only a gap above {smallest:.2f} nats per token would have been found; more passages "
            "of either kind would tell"
        )
    return "no evidence", f"a gap of {smallest:.2f} nats per token would have been found"


def _too_few(entry: Mapping[str, Any]) -> str:
    return (
        f"members and non-members can be exchanged in {entry['arrangements']:.0f} ways only "
        f"({entry['split_groups']} split groups): too few for a small p-value"
    )


def _why_untested(entry: Mapping[str, Any]) -> str:
    if entry["non_members"] == "none":
        reason = (
            "there are no passages of it that the LM surely has not read; name some with --against "
            "or audit.unread_splits"
        )
        weak = entry["tests"][SELF]["p_value"]
        if weak is not None:
            reason += (
                f". Self-Comparison alone, weak by itself, has p = {weak:.2g} before correction"
            )
        return reason
    if not entry["passages"]["members"]:
        return "none of its passages is said to have been read"
    return "no split group can change sides: give more of them"


def _sentence(name: str, entry: Mapping[str, Any], reason: str, asked: int) -> str:
    finding: Finding = entry["finding"]
    if finding == "cannot tell":
        return f"Trained on {name}: cannot tell, because {reason}."
    passages = entry["passages"]
    p_value = f"p = {entry['p_holm']:.2g}"
    if asked > 1:
        p_value += f", corrected for {asked} sub-datasets"
    mine, others = passages["members"], passages["non_members"]
    gap_words = _gap_words(entry["gap"])
    if finding == "trained on":
        clause = (
            f"{mine} passages are likelier by {gap_words} than {others} that the LM has not read"
        )
        return f"Trained on {name}: yes. To the LM {clause} ({p_value})."
    clause = f"{mine} passages and {others} that the LM has not read differ by {gap_words}"
    return f"Trained on {name}: no evidence. To the LM {clause} ({p_value}); {reason}."


def _gap_words(found: Mapping[str, float]) -> str:
    gap_, error = found["nats_per_token"], found["standard_error"]
    margin = float(stats.norm.ppf(0.975)) * error
    return f"{gap_:.2f} nats per token ({gap_ - margin:.2f} to {gap_ + margin:.2f})"
