"""Published figures against counts by hand, on a scorer without a file."""

import dataclasses

import numpy as np
import pytest

from copylens.evaluation.answers import Evaluation
from copylens.evaluation.open_set import best_ood
from copylens.evaluation.published import (
    KINDS,
    WORDS,
    judge_kinds,
    judged,
    length_section,
    shares_section,
    texts_to_read,
    unregistered_ece,
)
from copylens.fit.data import TextSet
from copylens.progress import Silent
from tests.fit.fit_samples import config_of, outside, part, scorer_of, training_data

CONFIG = config_of()


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    scorer = scorer_of(CONFIG, training_data())
    texts = {"test": part("test", 4, 7), "ood_test": outside(4, 8)}
    return _answered(scorer, texts)


def _answered(scorer, texts: dict[str, TextSet]) -> Evaluation:
    scores = {s: scorer.score(t.texts, t.states) for s, t in texts.items() if len(t)}
    return Evaluation(scorer, {}, texts, scores)


def test_kinds_have_the_truth_that_they_were_made_of(evaluation) -> None:
    kinds = judge_kinds(evaluation, CONFIG)
    assert tuple(kinds) == KINDS
    for found in kinds.values():
        np.testing.assert_allclose(found.truth.sum(axis=1), 1)
    assert (kinds["pure"].truth.max(axis=1) == 1).all()
    assert (kinds["mixed"].truth[:, -1] == 0).all()
    assert ((kinds["partly"].truth > 0).sum(axis=1) == 2).all()
    assert (kinds["partly"].truth[:, -1] > 0).all()
    assert (kinds["unregistered"].truth[:, -1] == 1).all()


def test_progress_ends_where_it_said(evaluation) -> None:
    class Counter(Silent):
        texts = 0

        def __call__(self, count: int) -> None:
            self.texts += count

    for texts in (evaluation.texts, {**evaluation.texts, "ood_test": part("ood_test", 0, 0)}):
        counted = dataclasses.replace(_answered(evaluation.scorer, texts), meter=Counter())
        judge_kinds(counted, CONFIG)
        length_section(counted, 0)
        assert counted.meter.texts == texts_to_read(counted) > 0


def test_the_section_counts_what_verdicts_say(evaluation) -> None:
    kinds = judge_kinds(evaluation, CONFIG)
    section = shares_section(kinds)
    texts = evaluation.texts["test"]
    verdicts = evaluation.scorer.judge(texts.texts, texts.states)
    names = evaluation.scorer.model.attributor.sub_datasets
    own = [
        next(s for s in verdict.shares if s.sub_dataset == names[label])
        for verdict, label in zip(verdicts, texts.labels)
    ]
    pure = section["by_kind"]["pure"]
    assert pure["coverage"] == np.mean([share.high >= 1 - 1e-9 for share in own])
    assert pure["unregistered"] == pytest.approx(np.mean([v.unregistered for v in verdicts]))
    for name in ("registered", "unregistered", "abstain"):
        assert pure[f"called_{name}"] == np.mean([v.decision == name for v in verdicts])
    by_kind = section["by_kind"].values()
    covered = [found["coverage"] for found in by_kind if found["coverage"] is not None]
    assert len(covered) == 3
    assert section["coverage"] == pytest.approx(np.mean(covered))


def test_calibration_of_unregistered_weighs_both_sides_alike(evaluation) -> None:
    kinds = judge_kinds(evaluation, CONFIG)

    def told(kind: str, values: list[float]):
        published = [dataclasses.replace(kinds[kind].published[0], unregistered=v) for v in values]
        return dataclasses.replace(kinds[kind], published=published)

    sides = {"pure": told("pure", [0.25] * 6), "unregistered": told("unregistered", [0.75] * 2)}
    # In [0.2, 0.3) all are registered, 0.25 too much; in [0.7, 0.8) all are not, 0.25 too little.
    assert unregistered_ece(sides) == pytest.approx(0.25)


def test_without_unregistered_texts_there_are_two_kinds(evaluation) -> None:
    nothing = evaluation.texts["ood_test"].subset(np.zeros(0, np.int64))
    texts = {"test": evaluation.texts["test"], "ood_test": nothing}
    alone = _answered(evaluation.scorer, texts)
    section = shares_section(judge_kinds(alone, CONFIG))
    assert section["ece"] is None
    assert section["by_kind"]["partly"] is None and section["by_kind"]["unregistered"] is None
    assert all(found["power"] is None for found in length_section(alone, 0).values())


def test_short_texts_are_cut_to_their_length(evaluation) -> None:
    section = length_section(evaluation, 0)
    assert list(section) == [str(words) for words in WORDS]
    assert section["10"]["n"] == len(evaluation.texts["test"])
    assert 0 <= section["200"]["power"] <= 1


def test_decisions_are_those_of_the_configured_level(evaluation) -> None:
    scores = evaluation.scores["ood_test"]
    truth = np.eye(4)[np.full(len(scores.p_value), 3)]
    flagged = judged(evaluation.scorer, scores, truth).decisions == "unregistered"
    expected = (scores.p_value < CONFIG.calibration.alpha) & (scores.unregistered >= 0.5)
    np.testing.assert_array_equal(flagged, expected)


def test_the_best_single_score_and_its_distance() -> None:
    generator = np.random.default_rng(0)
    registered, foreign = generator.normal(size=300), generator.normal(size=200)
    ours = registered, foreign + 2
    others = {"good": (registered, foreign + 1), "blind": (registered, foreign)}
    strata = tuple(([f"g{n % 50}" for n in range(count)], ["a"] * count) for count in (300, 200))
    found = best_ood(ours, others, strata, seed=0)
    assert found["name"] == "good"
    low, high = found["difference_ci95"]
    assert 0 < low < found["difference"] < high
    same = best_ood(ours, {"the same": ours}, strata, seed=0)
    assert same["difference"] == 0 and same["difference_ci95"] == [0, 0]
