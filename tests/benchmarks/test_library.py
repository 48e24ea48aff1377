"""bergson's gradients and ours, each the other's truth; skipped where bergson is not installed."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.retraining import library
from benchmarks.retraining.gradients import (
    Projections,
    gradients,
    inverse_root,
    linear_layers,
)
from benchmarks.retraining.lms import load_lm, tokenizer_of
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.plan import RECIPE, Plan
from ray_jobs.demo.lm import new_model
from tests.benchmarks.test_retraining import passages

CONTEXT, WIDTH = 24, 4
RECIPE_OF_TWO = replace(RECIPE, vocabulary=300, context=32, width=16, heads=2)
# Longer than the context, shorter, and one of a single token, over more than one pass.
TEXTS = ["fish 3 and more fish", "wool and " * 12, "iron", *[f"moss {n} and" for n in range(33)]]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    pytest.importorskip("bergson")
    folder = str(tmp_path_factory.mktemp("lm"))
    tokenizer = tokenizer_of(folder, passages(), Plan(recipe=RECIPE_OF_TWO))
    torch.manual_seed(0)
    new_model(RECIPE_OF_TWO, len(tokenizer)).save_pretrained(folder)
    # What each reads does not depend on what the other has left on the model.
    return partial(load_lm, folder), tokenizer


def collected(lm, width):
    from bergson import GradientProcessor

    load, tokenizer = lm
    processor = GradientProcessor(projection_dim=width)
    return library.collect(load(), tokenizer, TEXTS, CONTEXT, processor, moments=False)


def ours(lm, sides):
    load, tokenizer = lm
    return gradients(load(), tokenizer, TEXTS, CONTEXT, Projections(sides))


def cosines(rows):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units @ units.T


def signs(lm):
    """bergson's own matrices, which depend on a layer's name alone."""
    from bergson.collector.collector import create_module_projection_matrix

    def matrix(name, role, size):
        kind = ("rademacher", "jl", None)
        found = create_module_projection_matrix(
            name, role, WIDTH, size, torch.float32, torch.device("cpu"), *kind
        )
        return found.T

    return {
        name: (matrix(name, "left", m.out_features), matrix(name, "right", m.in_features))
        for name, m in linear_layers(lm[0]()).items()
    }


def test_without_projection_both_find_the_same_gradients(lm):
    identity = {
        name: (torch.eye(m.out_features), torch.eye(m.in_features))
        for name, m in linear_layers(lm[0]()).items()
    }
    theirs = collected(lm, None)
    assert list(theirs) == list(identity)
    found, expected = torch.cat(list(theirs.values()), dim=1).numpy(), ours(lm, identity)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert cosines(found) == pytest.approx(cosines(expected), abs=1e-5)
    # The texts are not all alike, or the cosines would agree whatever was compared.
    assert cosines(expected).min() < 0.9


def test_with_the_same_projections_too(lm):
    theirs = collected(lm, WIDTH)
    found = torch.cat(list(theirs.values()), dim=1).numpy()
    expected = ours(lm, signs(lm))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert cosines(found) == pytest.approx(cosines(expected), abs=1e-5)


def test_trackstar_is_the_cosine_of_gradients_whitened_layer_by_layer(lm):
    load, tokenizer = lm
    train, queries = TEXTS[:30], TEXTS[30:]
    index = library.TrackStar.fit(load(), tokenizer, train, CONTEXT, WIDTH)
    found = index.cosines(queries)
    # Asking twice must not change what is answered.
    assert (index.cosines(queries)["all layers"] == found["all layers"]).all()
    layers = np.split(ours(lm, signs(lm)), len(linear_layers(load())), axis=1)
    white = [rows @ inverse_root(rows[:30]) for rows in layers]
    for part, kept in (("all layers", white), ("without the head", white[:-1])):
        expected = cosines(np.concatenate(kept, axis=1))[30:, :30]
        assert found[part] == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_the_library_keeps_off_the_output(lm, capsys):
    load, tokenizer = lm
    library.TrackStar.fit(load(), tokenizer, TEXTS[:3], CONTEXT, WIDTH)
    assert capsys.readouterr().out == ""
    # What it sets up for its log when it is imported, only a fresh interpreter shows.
    code = "from benchmarks.retraining import library as l; l.missing(); import logging as g; "
    run = [sys.executable, "-c", code + "g.getLogger('bergson').warning('seen')"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert (done.stdout, "seen" in done.stderr) == ("", True)


def test_without_the_library_the_reason_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "bergson", None)
    assert "bergson" in library.missing()


def test_its_answers_stand_beside_the_others():
    own = Answers(
        {"gradient": {"nearest 5": np.ones((2, 3))}},
        {"gradient": 0.5},
        {"gradient": 2.0},
        np.ones((2, 3)),
        np.ones((2, 3)),
    )
    more = Answers({"bergson": {"nearest 5": np.zeros((2, 3))}}, {"bergson": 0.7}, {"bergson": 3.0})
    both = own.joined(Answers.from_bytes(more.to_bytes()))
    assert list(both.candidates) == ["gradient", "bergson"]
    assert both.per_query == {"gradient": 0.5, "bergson": 0.7}
    assert both.once == {"gradient": 2.0, "bergson": 3.0}
    assert (both.log_probs == own.log_probs).all() and (both.presence == own.presence).all()
