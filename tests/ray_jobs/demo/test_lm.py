"""The LM of the demo learns what it reads."""

import pytest

from copylens.config.schema import ProbeConfig
from copylens.generation.live import generate
from copylens.probe.probe import Probe
from ray_jobs.demo.lm import LmRecipe, train_lm
from tests.generation.live_samples import ScriptedScorer

RECIPE = LmRecipe(
    vocabulary=300, context=64, width=32, layers=2, heads=2, steps=120, batch=4, block=32
)
TEXTS = ["one two three four five six seven eight nine ten. " * 8] * 6


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    facts = train_lm(TEXTS, folder, RECIPE, seed=0)
    return folder, facts


def test_it_learns_its_text_by_heart(lm):
    folder, facts = lm
    # Ten words in a fixed order: far below log(300) = 5.7 nats.
    assert facts["final_loss"] < 0.5
    probe = Probe(ProbeConfig(model=str(folder)))
    steps = list(generate(ScriptedScorer(probe), "one two three", max_tokens=8, temperature=0.05))
    assert "four five" in steps[-1].text


def test_the_same_seed_trains_the_same_lm(lm, tmp_path):
    folder, facts = lm
    again = train_lm(TEXTS, tmp_path, RECIPE, seed=0)
    assert again["final_loss"] == facts["final_loss"]
    first, second = (f / "model.safetensors" for f in (folder, tmp_path))
    assert first.read_bytes() == second.read_bytes()
