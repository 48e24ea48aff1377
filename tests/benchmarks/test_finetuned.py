"""The check on fine-tuned LMs: what is read how often, training that was killed, its score."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.finetuned import tuning
from benchmarks.finetuned.cause import group_lds
from benchmarks.finetuned.plan import CODE, PROSE, Plan, Recipe, write_corpus
from benchmarks.finetuned.study import UNTUNED, Study
from benchmarks.finetuned.tuning import fine_tuned, schedule
from benchmarks.retraining.queries import Query, drawn
from benchmarks.support.workload import TINY_LM, save_lm, standard_library
from copylens.audit.passages import audit_passages
from copylens.errors import CorpusError
from copylens.records import Passage

TEXTS = standard_library(12)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    model = save_lm(tmp_path_factory.mktemp("lm"), TEXTS, TINY_LM)
    return Recipe(model=model, repeated=4, repeats=3, passes=1, tokens=24, rank=2, batch=2)


def test_every_passage_is_read_as_often_as_the_recipe_says_from_beginning_to_end():
    recipe = Recipe(repeated=5, repeats=8, passes=2, batch=3)
    steps = schedule(recipe, 20)
    assert all(len(step) == 3 for step in steps[:-1])
    order = [int(n) for step in steps for n in step]
    assert Counter(order) == {n: 8 if n < 5 else 2 for n in range(20)}
    for n in range(20):
        places = np.flatnonzero(np.array(order) == n) / len(order)
        assert places.min() < 0.55 and places.max() > 0.45


def test_an_audit_draws_passages_that_the_lm_reads_those_read_often_first(tmp_path: Path):
    plan = Plan(Recipe(passages=30, repeated=4), corpus_passages=60, audited=10)
    study = Study(tmp_path, write_corpus(tmp_path, tmp_path / "absent", 2), plan, processes=1)
    members = study.members
    asked = audit_passages(study.config(UNTUNED, None))
    for name in study.names:
        drawn_by_audit = [item.text for item in asked[name] if item.kind == "member"]
        read = [item.text for item in members[name]]
        assert len(drawn_by_audit) == 10 and drawn_by_audit == read[:10]
        assert study.often(name) == frozenset(read[:4])
        assert 10 < len(read) <= 30
        assert not set(read) & {item.text for item in asked[name] if item.kind == "non-member"}


class KilledError(Exception):
    """In the middle of a training."""


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuning, "_EVERY", 3)

    def kill(figures: dict[str, object]) -> None:
        if figures["step"] == 6:
            raise KilledError

    with pytest.raises(KilledError):
        fine_tuned(tmp_path / "killed", TEXTS, recipe, kill)
    steps: list[object] = []
    resumed = fine_tuned(tmp_path / "killed", TEXTS, recipe, lambda f: steps.append(f["step"]))
    assert steps == [9]
    whole = fine_tuned(tmp_path / "whole", TEXTS, recipe, lambda f: None)
    first, second = (load_file(where / "adapter_model.safetensors") for where in (resumed, whole))
    assert first.keys() == second.keys() and resumed.name == whole.name
    assert all((first[key] == second[key]).all() for key in first)
    assert not list(resumed.glob("training.pt"))


def test_what_was_trained_is_found_again_and_other_texts_train_anew(recipe: Recipe, tmp_path: Path):
    told: list[object] = []
    where = fine_tuned(tmp_path, TEXTS, recipe, told.append)
    assert fine_tuned(tmp_path, TEXTS, recipe, lambda f: pytest.fail("trained again")) == where
    assert fine_tuned(tmp_path, TEXTS[1:], recipe, told.append) != where
    assert fine_tuned(tmp_path, TEXTS, replace(recipe, passes=2), told.append) != where


def passage(name: str, number: int) -> Passage:
    group = f"{name}-{number // 2}"
    words = f"{name} {name} {number}"
    return Passage(f"{name}-{number}", words, name, "", "", "", "", group, "test")


def test_openings_and_queries_are_not_the_same_passages():
    passages = [passage(name, n) for name in ("law", "sea") for n in range(9)]
    first, then = drawn(passages, 3, 0), drawn(passages, 4, 0, skip=3)
    assert Counter(p.sub_dataset for p in first + then) == {"law": 7, "sea": 7}
    assert len({p.id for p in first + then}) == 14
    assert drawn(passages[::-1], 3, 0) == first


def test_the_score_is_high_for_shares_that_say_what_training_did_and_zero_for_those_that_do_not():
    names, rng = ("law", "sea", "ships", "tax"), np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 10)
    queries = [
        Query(f"{names[k]} {n}", names[k], f"{names[k]}-{n % 5}", ("held-out", "written")[n % 2])
        for n, k in enumerate(labels)
    ]
    # Row k has read sub-dataset k, the last row nothing.
    losses = 3.0 - np.eye(5, 4)[:, labels] + 0.05 * rng.random((5, 40))
    read = [passage(name, n) for name in names for n in range(10)]
    right = group_lds(queries, losses, np.eye(4)[labels], read, names)
    wrong = group_lds(queries, losses, rng.random((40, 4)), read, names)
    for kind in ("all", "held-out", "written"):
        assert right[kind]["lds"][0] > 0.65 and right[kind]["lds_bm25"][0] > 0.6
        assert abs(wrong[kind]["lds"][0]) < 0.3
        assert wrong[kind]["lds"][0] < wrong[kind]["lds_bm25"][0] - 0.3


def test_without_shared_prose_all_sub_datasets_are_installed_distributions(tmp_path: Path):
    found = write_corpus(tmp_path / "run", tmp_path / "absent", 8)
    assert found == tuple(f"dist://{name}" for name in CODE)
    assert write_corpus(tmp_path / "run", tmp_path / "absent", 2) == found[:2]
    with pytest.raises(CorpusError, match="9 LMs need"):
        write_corpus(tmp_path / "run", tmp_path / "absent", 9)
    assert sum(map(len, PROSE.values())) < 8
