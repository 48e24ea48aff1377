"""Findings on scores whose truth is known: what was read is found, what was not is not."""

import numpy as np
import pytest
from scipy import stats

from copylens.audit.battery import (
    LEARNED,
    PUBLISHED_TESTS,
    PassageScores,
    direction_from,
    learned_scores,
)
from copylens.audit.findings import SELF, TESTS, find, foregone
from copylens.audit.passages import AuditPassage
from copylens.audit.permutation import p_values
from copylens.audit.self_comparison import compare
from copylens.config.audit import AuditConfig

CONFIG = AuditConfig(permutations=999)
FEATURES = 26


def made(
    seed: int, gap: float, members: int = 60, others: int = 60, groups: int = 4
) -> PassageScores:
    """Scores with noise that the covariates know, and a gap in all but them."""
    rng = np.random.default_rng(seed)
    n = members + others
    member = np.arange(n) < members
    noise = rng.normal(size=(n, 1))
    own = 0.3 * rng.normal(size=(n, FEATURES))
    shown = np.arange(FEATURES) < FEATURES - 8
    features = own + noise + gap * member[:, None] * shown
    return PassageScores(
        groups=tuple(f"g{k}" for k in rng.integers(0, groups, n)),
        member=member,
        published=0.2 * features[:, : len(PUBLISHED_TESTS)],
        features=features,
        increases=rng.normal(size=n) * 0.1 + gap * member,
    )


def test_what_was_read_is_found_and_nothing_else():
    gaps = {"a": 0.5, "b": 0.0, "c": 0.4, "d": 0.0, "e": 0.6}
    scored = {name: made(seed, gap) for seed, (name, gap) in enumerate(gaps.items())}
    found = find(scored, list(gaps), CONFIG, seed=0)
    assert {n: e["finding"] for n, e in found.items()} == {
        name: "trained on" if gap else "no evidence" for name, gap in gaps.items()
    }
    for name, entry in found.items():
        assert set(entry["tests"]) == set(TESTS)
        assert entry["p_holm"] >= entry["p_value"]
        assert entry["tests"][LEARNED]["learned_on"] == 4
        assert entry["sentence"].startswith(f"Trained on {name}: ")
    assert "yes. To the LM 60 passages are likelier by 0." in found["a"]["sentence"]
    assert "nats per token would have been found" in found["b"]["sentence"]


def test_the_gap_is_measured_in_nats_and_covered_by_its_interval():
    """The covariates hold all of the common noise, so a field score of slope 0.2 shows the gap."""
    inside = 0
    for seed in range(40):
        entry = find({"a": made(seed, 0.5)}, ["a"], CONFIG, seed=0)["a"]["gap"]
        inside += abs(entry["nats_per_token"] - 0.1) < 2 * entry["standard_error"]
    assert inside >= 34


def test_silence_of_few_passages_is_no_evidence_of_anything():
    few = find({"a": made(0, 0.0, 12, 12)}, ["a"], CONFIG, seed=0)["a"]
    assert few["finding"] == "cannot tell" and "would have been found" in few["sentence"]
    scored = made(1, 0.5, groups=1)
    pure = PassageScores(
        tuple("a" if m else "b" for m in scored.member),
        scored.member,
        scored.published,
        scored.features,
        scored.increases,
    )
    two_groups = find({"a": pure}, ["a"], CONFIG, seed=0)["a"]
    assert two_groups["finding"] == "cannot tell"
    assert "in 2 ways only (2 split groups)" in two_groups["sentence"]


def test_without_unread_passages_of_its_own_nothing_is_decided():
    scored = {"a": made(0, 0.8, others=0)} | {f"o{n}": made(n, 0.0, members=0) for n in range(1, 6)}
    entry = find(scored, ["a"], CONFIG, seed=0)["a"]
    assert (entry["finding"], entry["non_members"]) == ("cannot tell", "none")
    assert entry["tests"][SELF]["p_value"] < 0.01 and entry["tests"][SELF]["others"] == 5
    assert "Self-Comparison alone, weak by itself" in entry["sentence"]
    assert entry["p_value"] is None and entry["p_holm"] is None


def passages(members: str, others: str) -> list[AuditPassage]:
    """Passages of these split groups, a letter each."""
    return [
        AuditPassage(f"{kind} {n}", "text", group, kind, "a file")
        for kind, groups in (("member", members), ("non-member", others))
        for n, group in enumerate(groups)
    ]


def test_what_no_score_could_decide_is_known_beforehand():
    items = {
        "without unread": passages("abcdef", ""),
        "without read": passages("", "abc"),
        "empty": passages("", ""),
        "two works": passages("aaaa", "bbbb"),
        "told": passages("aabbccdd", "aabbccdd"),
    }
    found = foregone(items, list(items), CONFIG)
    assert set(found) == set(items) - {"told"}
    assert "surely has not read" in found["without unread"]
    assert "none of its passages is said to have been read" in found["without read"]
    assert "in 2 ways only (2 split groups)" in found["two works"]


@pytest.mark.parametrize("others", [0, 1, 3, 60])
def test_what_is_known_beforehand_is_what_the_audit_will_say(others):
    scored = made(0, 3.0, members=40, others=others)
    kinds = ["member" if m else "non-member" for m in scored.member]
    items = [
        AuditPassage(str(n), "", g, k, "") for n, (g, k) in enumerate(zip(scored.groups, kinds))
    ]
    before = foregone({"a": items}, ["a"], CONFIG)
    entry = find({"a": scored}, ["a"], CONFIG, seed=0)["a"]
    assert not before or (entry["finding"] == "cannot tell" and before["a"] in entry["sentence"])
    assert bool(before) == (others < 2)


def test_alone_it_learns_on_one_half_and_is_tested_on_the_other():
    scored = made(0, 0.5)
    units, scores = learned_scores(scored, None, seed=0)
    assert len(units.member) == pytest.approx(60, abs=3)
    assert p_values(units, scores, 999, 0)[0] < 0.01


@pytest.mark.parametrize("weighed", [True, False])
def test_dataset_inference_is_no_false_alarm(weighed):
    """Weights from others that were read; or learned on the passages themselves."""
    weights = direction_from({f"o{n}": made(n, 0.5) for n in range(3)})[0] if weighed else None
    found = []
    for seed in range(200):
        units, scores = learned_scores(made(1000 + seed, 0.0, 30, 30), weights, seed)
        found.append(p_values(units, scores, 199, seed)[0])
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_weights_across_sub_datasets_beat_every_single_score():
    known = {f"o{n}": made(n, 0.25) for n in range(5)}
    weights, count = direction_from(known)
    assert count == 5
    scored = made(50, 0.25)
    units, learned = learned_scores(scored, weights, seed=0)
    single = p_values(units, scored.published, 9999, 0).min()
    assert p_values(units, learned, 9999, 0)[0] < single


def test_self_comparison_by_hand():
    others = {f"o{n}": (np.array([v]), ["g"]) for n, v in enumerate([0.1, 0.2, 0.3, 0.2])}
    values = np.array([0.9, 1.1, np.nan, 0.5])
    found = compare(values, ["x", "x", "x", "y"], others)
    assert found is not None
    assert (found.increase, found.expected, found.others) == (pytest.approx(0.75), 0.2, 4)
    between = np.var([0.1, 0.2, 0.3, 0.2], ddof=1)
    error = np.sqrt(between * (1 + 1 / 4) + np.var([1.0, 0.5], ddof=1) / 2)
    assert found.p_value == pytest.approx(stats.t.sf((0.75 - 0.2) / error, 3))
    assert compare(values, ["x"] * 4, dict(list(others.items())[:3])) is None
    assert compare(np.full(2, np.nan), ["x", "y"], others) is None


def test_self_comparison_is_no_false_alarm():
    """Sub-datasets differ among themselves, and that is no training."""
    rng = np.random.default_rng(0)

    def one():
        return rng.normal(rng.normal(), 0.5, 20), [f"g{n // 2}" for n in range(20)]

    found = [compare(*one(), {str(n): one() for n in range(6)}).p_value for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
