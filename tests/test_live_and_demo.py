"""The LM of the demo learns what it reads; live verdicts grow with the text."""

from types import SimpleNamespace

import pytest

from copylens.config import ProbeConfig
from copylens.demo.lm import LmRecipe, train_lm
from copylens.errors import TextError
from copylens.live import generate
from copylens.probe.probe import Probe
from copylens.textio import read_texts

RECIPE = LmRecipe(
    vocabulary=300, context=64, width=32, layers=2, heads=2, steps=120, batch=4, block=32
)
TEXTS = ["one two three four five six seven eight nine ten. " * 8] * 6


class CountingScorer:
    """Gives the length of each text as its verdict."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self.config = SimpleNamespace(probe=probe.config)

    def verdicts(self, texts):
        return [len(text) for text in texts]


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
    steps = list(generate(CountingScorer(probe), "one two three", max_tokens=8, temperature=0.05))
    assert "four five" in steps[-1].text


def test_the_same_seed_trains_the_same_lm(lm, tmp_path):
    folder, facts = lm
    again = train_lm(TEXTS, tmp_path, RECIPE, seed=0)
    assert again["final_loss"] == facts["final_loss"]
    first, second = (f / "model.safetensors" for f in (folder, tmp_path))
    assert first.read_bytes() == second.read_bytes()


def test_live_steps_add_up_and_are_scored_on_time(lm):
    scorer = CountingScorer(Probe(ProbeConfig(model=str(lm[0]))))
    steps = list(generate(scorer, "one two", max_tokens=20, every=8, seed=1))
    assert "".join(step.piece for step in steps) == steps[-1].text
    scored = [(n, step) for n, step in enumerate(steps, 1) if step.verdict is not None]
    assert [n for n, _ in scored] == [8, 16, 21]
    assert all(step.verdict == len(step.text) for _, step in scored)


def test_an_empty_prompt_is_refused(lm):
    scorer = CountingScorer(Probe(ProbeConfig(model=str(lm[0]))))
    with pytest.raises(TextError, match="prompt is empty"):
        next(generate(scorer, "  "))


def test_texts_come_from_files_and_pipes(tmp_path, monkeypatch):
    import gzip
    import io

    (tmp_path / "a.txt").write_text("one\ntwo")
    assert read_texts(str(tmp_path / "a.txt")) == ["one\ntwo"]
    rows = b'{"text": "x", "more": 1}\n\n{"text": "y"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows))
    assert read_texts(str(tmp_path / "a.jsonl.gz")) == ["x", "y"]
    for raw, expected in ((rows, ["x", "y"]), (b'{"a": 1}', ['{"a": 1}']), (b"word", ["word"])):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
        assert read_texts("-") == expected
