"""The parts of the causal check, each against something that knows better."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.retraining.audit import holm, presence
from benchmarks.retraining.gradients import (
    GradientIndex,
    Projections,
    gradients,
    inverse_root,
    linear_layers,
)
from benchmarks.retraining.joined import reach
from benchmarks.retraining.lms import batches, load_lm, reading_of, tokenizer_of, train_one
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.nearness import nearest_sums
from benchmarks.retraining.plan import RECIPE, Plan
from benchmarks.retraining.queries import losses, padded
from copylens.errors import CorpusError
from copylens.records import Passage
from ray_jobs.demo.lm import END

NAMES = ("fish", "iron", "moss", "wool")
CONTEXT = 24
TINY = Plan(
    recipe=replace(
        RECIPE, vocabulary=300, context=32, width=16, layers=1, heads=2, batch=2, block=16
    ),
    blocks=6,
)


def passages() -> list[Passage]:
    return [
        Passage(
            f"{name}{n}", f"{name} {n} and more {name}. " * 5, name, "", "", "", "", "g", "train"
        )
        for name in NAMES
        for n in range(8)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("causal"))
    tokenizer = tokenizer_of(folder, passages(), TINY)
    reading = reading_of(passages(), tokenizer, TINY)
    return folder, tokenizer, reading, train_one(folder, [0, 2], reading, TINY)


def test_every_sub_dataset_gives_as_much_and_an_lm_reads_its_own_alone(trained):
    _, _, reading, _ = trained
    assert reading.names == NAMES
    assert reading.blocks.shape == (4, 6, 17)
    seen = np.concatenate(list(batches(reading, [0, 2], TINY)))
    assert len(seen) == 2 * 6 * TINY.passes
    mine = {row.tobytes() for k in (0, 2) for row in reading.blocks[k]}
    assert {row.tobytes() for row in seen} == mine


def test_a_block_has_the_same_place_for_every_lm_that_reads_it(trained):
    _, _, reading, _ = trained
    both = np.concatenate(list(batches(reading, [0, 1, 2, 3], TINY)))
    some = np.concatenate(list(batches(reading, [0, 2], TINY)))
    mine = {row.tobytes() for k in (0, 2) for row in reading.blocks[k]}
    assert [row.tobytes() for row in both if row.tobytes() in mine] == [r.tobytes() for r in some]


def test_a_trained_lm_is_found_again_and_a_changed_plan_trains_anew(trained):
    folder, _, reading, where = trained
    done = []
    assert train_one(folder, [0, 2], reading, TINY, advance=done.append) == where
    assert not done
    other = train_one(folder, [0, 2], reading, replace(TINY, passes=1), advance=done.append)
    assert other != where and done


def test_a_sub_dataset_that_is_too_small_is_named(trained):
    _, tokenizer, _, _ = trained
    with pytest.raises(CorpusError, match=r"'fish'.*lower --blocks"):
        reading_of(passages(), tokenizer, replace(TINY, blocks=500))


def test_losses_are_those_of_each_text_alone(trained):
    _, tokenizer, _, where = trained
    model = load_lm(where)
    texts = ["fish 3 and more", "wool. " * 30, "moss"]
    together = losses(model, tokenizer, texts, CONTEXT)
    for text, loss in zip(texts, together):
        ids = torch.tensor([tokenizer(END + text)["input_ids"][: CONTEXT + 1]])
        assert loss == pytest.approx(model(ids, labels=ids).loss.item(), rel=1e-4)


def weight_gradients(model, tokenizer, text):
    """What autograd says, layer by layer."""
    ids, _ = next(padded(tokenizer, [text], CONTEXT))
    layers = linear_layers(model)
    weights = [layer.weight for layer in layers.values()]
    loss = model(ids, labels=ids).loss
    return dict(zip(layers, torch.autograd.grad(loss, weights)))


def test_gradients_are_those_of_autograd_projected_on_both_sides(trained):
    _, tokenizer, _, where = trained
    model = load_lm(where)
    texts = ["fish 3 and more fish", "wool and " * 12, "iron"]
    projections = Projections.random(model, 5, seed=3)
    found = gradients(model, tokenizer, texts, CONTEXT, projections)
    for text, row in zip(texts, found):
        expected = [
            (out_side.T @ gradient @ in_side).flatten()
            for gradient, (out_side, in_side) in zip(
                weight_gradients(model, tokenizer, text).values(), projections.sides.values()
            )
        ]
        assert row == pytest.approx(torch.cat(expected).numpy(), rel=1e-3, abs=1e-5)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_without_projection_they_are_the_gradients_themselves(trained):
    _, tokenizer, _, where = trained
    model = load_lm(where)
    layers = linear_layers(model)
    identity = Projections(
        {n: (torch.eye(m.out_features), torch.eye(m.in_features)) for n, m in layers.items()}
    )
    found = gradients(model, tokenizer, ["moss and more"], CONTEXT, identity)[0]
    expected = weight_gradients(model, tokenizer, "moss and more").values()
    flat = torch.cat([gradient.flatten() for gradient in expected]).numpy()
    assert found == pytest.approx(flat, rel=1e-3, abs=1e-5)


def test_random_projections_keep_inner_products_on_average(trained):
    model = load_lm(trained[3])
    name, layer = next(iter(linear_layers(model).items()))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, layer.out_features))
    sides = [Projections.random(model, 8, seed).sides[name][0].numpy() for seed in range(400)]
    estimates = [(a @ side) @ (b @ side) for side in sides]
    assert np.mean(estimates) == pytest.approx(a @ b, abs=4 * np.std(estimates) / 20)


def test_whitened_gradients_are_alike_in_all_directions():
    raw = np.random.default_rng(0).normal(size=(4000, 6)) * [1, 2, 4, 8, 16, 32]
    white = raw @ inverse_root(raw)
    spread = (white**2).mean(axis=0)
    eigenvalues = np.array([1, 2, 4, 8, 16, 32.0]) ** 2
    damped = eigenvalues / (eigenvalues + 0.1 * eigenvalues.mean())
    assert spread == pytest.approx(damped, rel=0.1)
    cosines = GradientIndex.fit(raw, whiten=True).cosines(raw[:5])
    assert np.diag(cosines[:, :5]) == pytest.approx(np.ones(5), abs=1e-4)


def test_nearest_sums_by_hand():
    likeness = np.array([[3.0, 1.0, 2.0, -1.0]])
    labels = np.array([0, 0, 1, 1])
    assert nearest_sums(likeness, labels, 2, 1).tolist() == [[3.0, 0.0]]
    assert nearest_sums(likeness, labels, 2, 3).tolist() == [[4.0, 2.0]]
    assert nearest_sums(likeness, labels, 2, None).tolist() == [[4.0, 1.0]]


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])


def test_presence_counts_only_what_was_found():
    rng = np.random.default_rng(0)
    read = [rng.normal(4.0, 0.1, 50), rng.normal(4.4, 0.1, 50)]
    unread = [rng.normal(4.4, 0.1, 50), rng.normal(4.4, 0.1, 50)]
    found = presence(read, unread)
    assert found.gap[0] == pytest.approx(0.4, abs=0.06)
    assert found.strength.tolist() == [2.0, 0.0]
    assert found.sureness[0] > 0.99 > 0.95 > found.sureness[1]


def test_reach_is_the_confusion_matrix_when_cold_and_even_when_hot():
    log_probs = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
    labels = np.array([0, 1, 1, 2])
    assert reach(log_probs, labels, 1.0)[1] == pytest.approx([0.15, 0.7, 0.15])
    assert reach(log_probs, labels, 1e-3) == pytest.approx(np.eye(3))
    assert reach(log_probs, labels, 1e6) == pytest.approx(np.full((3, 3), 1 / 3), abs=1e-5)


def test_kept_answers_come_back_as_they_were():
    rng = np.random.default_rng(0)
    answers = Answers(
        candidates={"bm25": {"nearest 5": rng.random((3, 2)), "nearest all": rng.random((3, 2))}},
        per_query={"bm25": 0.5},
        once={"bm25": 2.0},
        log_probs=rng.random((3, 2)),
        presence=rng.random((2, 2)),
    )
    again = Answers.from_bytes(answers.to_bytes())
    assert (again.per_query, again.once) == (answers.per_query, answers.once)
    assert again.candidates.keys() == answers.candidates.keys()
    for setting, scores in answers.candidates["bm25"].items():
        assert (again.candidates["bm25"][setting] == scores).all()
    assert (again.log_probs == answers.log_probs).all()
    assert (again.presence == answers.presence).all()
