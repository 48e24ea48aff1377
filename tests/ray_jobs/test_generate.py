"""A fitted scorer watches its LM write: what is told live is what it says of the text."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.support.fuzz_app import InProcess
from copylens.generation.live import generate
from copylens.probe.stream import StateStream
from copylens.registry.reader import load_scorer
from serve.api.policy import ContentPolicy
from serve.replica.generation_backend import LocalGenerationBackend
from tests.serve.fakes import make_client
from tests.serve.generation_samples import events_of

pytestmark = pytest.mark.ray
PROMPT = "The captain of the ship"


@pytest.fixture(scope="module")
def scorer(finished):
    return load_scorer("models:/copylens@champion", finished[0].tracking.uri)


def shares_of(verdict) -> dict[str, float]:
    return {share.sub_dataset: share.share for share in verdict.shares}


def test_the_final_verdict_is_that_of_the_text(scorer):
    last = list(generate(scorer, PROMPT, max_tokens=40, every=16))[-1]
    assert last.verdict == scorer.verdicts([last.text])[0]


def test_running_shares_are_those_of_the_streamed_states(scorer, monkeypatch):
    """And every verdict is whole: shares and the unregistered part sum to 1."""
    seen = []
    read = StateStream.read
    monkeypatch.setattr(StateStream, "read", lambda s: seen.append(read(s)) or seen[-1])
    # The second one comes at 32 tokens at the latest, where a flag stands after the first.
    steps = list(generate(scorer, PROMPT, max_tokens=40, every=8))
    running = [step.verdict for step in steps if step.verdict is not None][:-1]
    assert len(running) == len(seen) >= 2
    for verdict, (text, states) in zip(running, seen):
        assert shares_of(verdict) == shares_of(scorer.judge([text], [states])[0])
        assert sum(shares_of(verdict).values()) + verdict.unregistered == pytest.approx(1)
        ends = [item.end for item in verdict.timeline]
        assert ends[-1] == len(text)


def test_without_a_prompt_running_and_final_verdicts_agree(scorer):
    """The text's own tokens through the stream, nothing before them: `Probe.states` in pieces."""
    import torch

    text = "Sail on, the captain said to the crew."
    ids = scorer.probe.lm.tokenizer(text)["input_ids"]
    stream = StateStream(scorer.probe, 0)
    with stream.attached(), stream.listening(), torch.inference_mode():
        scorer.probe.lm.model(input_ids=torch.tensor([ids]))
    got = scorer.judge(*([item] for item in stream.read()))[0]
    expected = scorer.verdicts([text])[0]
    assert got.decision == expected.decision
    np.testing.assert_allclose(got.ood_score, expected.ood_score, atol=1e-3)
    for name, share in shares_of(got).items():
        assert share == pytest.approx(shares_of(expected)[name], abs=1e-3)


def test_over_http(scorer):
    client = make_client(generation=LocalGenerationBackend(lambda: scorer))
    body = {"prompt": PROMPT, "max_tokens": 40, "seed": 2}
    events = events_of(client.post("/v1/generate", json=body).text)
    text = "".join(values["text"] for name, values in events if name == "token")
    data = dict(events)
    verdict = scorer.verdicts([text])[0]
    expected = json.loads(json.dumps(verdict.to_dict()))
    assert data["verdict"] == {**expected, "policy": asdict(ContentPolicy().rule_on(verdict))}
    assert data["done"]["usage"]["completion_tokens"] == 40


def test_a_long_text_over_http_is_read_in_overlapping_chunks(scorer):
    text = " ".join(
        f"The captain of ship {n} said that the court of law was wrong." for n in range(99)
    )
    answer = make_client(InProcess(scorer)).post("/v1/attribute", json={"text": text}).json()
    assert answer["tokens"] > 2 * scorer.probe.lm.context
    assert (answer["timeline"][-1]["end"], answer["truncated"]) == (len(text), False)
    del answer["policy"]
    assert answer == json.loads(json.dumps(scorer.verdicts([text])[0].to_dict()))
