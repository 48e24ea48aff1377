"""The small parts of the studies against an independent truth."""

import hashlib

import numpy as np
import pytest
import torch

from copylens.attributor.attention.dataset import StateSet, plain_batch
from copylens.attributor.attention.network import NetworkShape
from copylens.config.schema import AttributorConfig
from copylens.evaluation.baselines.table import fit_text_baseline, run_text_baselines
from copylens.evaluation.studies import controls, in_corpus, lm_outputs, robustness
from copylens.evaluation.studies.inputs import spread
from copylens.evaluation.studies.refit import (
    attention_channel,
    embed_passages,
    probe_of,
    with_channels,
)
from copylens.evaluation.studies.token_lstm import TokenNetwork, id_windows, token_set
from copylens.probe.chunks import tokenize


def test_a_sample_takes_turns_over_classes_and_groups():
    classes = ["a"] * 50 + ["b"] * 10 + ["c"] * 2
    groups = [f"a{i % 5}" for i in range(50)] + ["b0"] * 9 + ["b1"] + ["c0", "c1"]
    index = spread(classes, groups, 12, seed=1)
    assert list(index) == sorted(set(index))
    chosen = [classes[i] for i in index]
    assert (chosen.count("a"), chosen.count("b"), chosen.count("c")) == (5, 5, 2)
    assert {groups[i] for i in index if classes[i] == "a"} == {f"a{i}" for i in range(5)}
    assert "b1" in {groups[i] for i in index}
    assert list(spread(classes, groups, 12, seed=1)) == list(index)
    assert list(spread(classes, groups, 100, seed=1)) == list(range(62))


def test_a_random_copy_shares_the_shape_and_no_weight(study):
    lm = study.scorer.probe.lm
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fresh = controls.random_init(lm, seed=0)
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers are left alone"
    again = controls.random_init(lm, seed=0).model.state_dict()
    for name, value in fresh.model.state_dict().items():
        assert value.shape == before[name].shape
        assert torch.equal(value, again[name])
        if value.ndim == 2:  # biases and norms start as constants
            assert not torch.allclose(value, before[name]), name
        assert torch.equal(lm.model.state_dict()[name], before[name])


def test_a_cut_text_has_exactly_so_many_tokens(study):
    lm = study.scorer.probe.lm
    texts = [*study.test.texts[:10], "Unbelievable harbours overboard, " * 20, "A short one."]

    def offsets(texts):
        return [item.offsets for item in tokenize(lm, texts)]

    for count in (7, 16, 33):
        for text, part in zip(texts, robustness.cut(offsets, texts, count)):
            assert text.startswith(part)
            tokens = len(lm.tokenizer(part, add_special_tokens=False)["input_ids"])
            whole = len(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
            assert tokens == min(count, whole)


def test_overlap_agrees_with_a_search_for_every_run_of_words():
    rng = np.random.default_rng(0)
    vocabulary = ["Sea", "of", "the", "ship"]
    train = [" ".join(rng.choice(vocabulary, 40)) for _ in range(12)]
    texts = [" ".join(rng.choice(vocabulary, size)) for size in (5, 8, 9, 12, 20, 30, 60, 90)]
    texts.append(" ".join(train[3].upper().split()[7:15]))

    def runs(text):
        words = text.lower().split()
        return [words[i : i + 8] for i in range(len(words) - 7)]

    known = [run for text in train for run in runs(text)]
    expected = [any(run in known for run in runs(text)) for text in texts]
    assert list(lm_outputs.overlapping(texts, train)) == expected
    assert expected[-1] and not expected[0] and len(set(expected[:-1])) == 2


def test_the_lm_writes_exactly_so_many_tokens_and_the_same_again(study):
    lm = study.scorer.probe.lm
    prompts = [tuple(range(5, 15)), tuple(range(20, 30)), tuple(range(5, 15))]
    first = lm_outputs.write(lm, prompts, 20, seed=3)
    assert [len(ids) for ids in first] == [20, 20, 20]
    assert all(lm.tokenizer.eos_token_id not in ids for ids in first)
    assert first[0] != first[2], "samples, not the likeliest words"
    assert lm_outputs.write(lm, prompts, 20, seed=3) == first
    assert lm_outputs.write(lm, prompts, 20, seed=4) != first


def test_prompts_are_not_scored(study, monkeypatch):
    lm, seen = study.scorer.probe.lm, []
    length, new = lm_outputs.sizes(lm)
    assert (length, new) == (16, 48)

    def echo(lm, prompts, count, seed):
        seen.extend(prompts)
        return [(7,) * count for _ in prompts]

    monkeypatch.setattr(lm_outputs, "write", echo)
    written = lm_outputs.continuations(study)
    assert {len(ids) for ids in seen} == {length}
    assert {item.text for item in written} == {lm.tokenizer.decode([7] * new)}
    assert {len(item.pieces) for item in written} == {3}
    labels = [item.label for item in written]
    assert {k: labels.count(k) for k in (-1, 0, 1, 2)} == {-1: 2, 0: 2, 1: 2, 2: 2}


def test_the_text_baseline_is_the_reports_own(study):
    parts = [study.answers.passages[s] for s in ("train", "val", "test")]
    reported = run_text_baselines(*parts, [], [], study.names, study.config.seed)
    for name in ("tfidf_word_masked", "tfidf_char", "bm25"):
        predict = fit_text_baseline(name, study.train, study.val, 3, study.config.seed)
        np.testing.assert_allclose(
            predict(study.test.texts), reported[name].probabilities, atol=1e-6
        )


def test_the_attention_channel_of_a_control_is_that_of_the_run(study):
    """Same states, same figure: what a control changes is the LM alone."""
    channels = attention_channel(study.config, 3, study.train, study.val)
    found = channels.scores(study.test.texts, study.test.states).text
    assert list(found) == ["attention"]
    expected = study.answers.scores["test"].channels.text["attention"]
    np.testing.assert_allclose(found["attention"], expected, atol=1e-4)


def test_channels_that_were_off_stay_off(study):
    channels = study.config.channels.model_copy(update={"attention": False})
    config = study.config.model_copy(update={"channels": channels})
    assert with_channels(config, "attention", "lexical").channels.model_dump() == {
        "attention": False,
        "lexical": True,
    }


def test_windows_of_ids_hold_the_tokens_that_the_probe_reads(study):
    assert id_windows((4, 5, 6, 7, 8), 2, pad=9).tolist() == [[4, 5], [6, 7], [8, 9]]
    lm = study.scorer.probe.lm
    tokens = token_set(lm, study.test.texts, study.test.labels, study.config.probe.window)
    for ids, states in zip(tokens.values, study.test.states):
        assert len(ids) == len(states.values)
        assert int((ids != len(lm.tokenizer)).sum()) == states.tokens


def test_padding_changes_nothing_in_the_token_network():
    torch.manual_seed(0)
    network = TokenNetwork(NetworkShape(8, 3, 6, 8, 0.5), vocabulary=20).eval()
    rng = np.random.default_rng(0)
    texts = [id_windows(tuple(rng.integers(0, 20, n)), 4, 20) for n in (5, 40)]
    data = StateSet(tuple(texts), np.array([0, 1]))
    alone, both = plain_batch(data, [0], 3), plain_batch(data, [0, 1], 3)
    with torch.inference_mode():
        first = network(alone.values, alone.lengths).text[0]
        beside = network(both.values, both.lengths).text[0]
        embedded = network.embed(both.values.long().reshape(-1, 4)).reshape(2, 10, 8)
    torch.testing.assert_close(first, beside)
    last = torch.tensor(texts[0][1, :1]).long()  # a window of one token and three fillers
    torch.testing.assert_close(embedded[0, 1], network.embed.weight[last[0]])


def test_buckets_are_those_of_the_hash():
    ids = [f"passage-{i}" for i in range(2000)]
    buckets = [in_corpus.bucket(name) for name in ids]
    assert buckets[0] == int(hashlib.sha256(b"passage-0").hexdigest()[:8], 16) % 10
    assert np.bincount(buckets, minlength=10) == pytest.approx(200, abs=50)


def test_the_token_network_learns_what_words_tell(study):
    from copylens.attributor.attention.training import predict
    from copylens.evaluation.studies.token_lstm import fit_token_network

    lm, window = study.scorer.probe.lm, study.config.probe.window
    settings = AttributorConfig(
        hidden=16, projection=16, epochs=8, batch_size=8, learning_rate=0.02
    )
    config = study.config.model_copy(update={"attributor": settings})
    train, val, test = (
        token_set(lm, part.texts, part.labels, window)
        for part in (study.train, study.val, study.test)
    )
    network = fit_token_network(config, 3, len(lm.tokenizer), train, val)
    right = predict(network, test.values).text.argmax(axis=1) == test.labels
    assert right.mean() > 0.8


def test_a_control_reads_as_the_run_does(study):
    """Under the run's own LM: the same states."""
    reader = probe_of(study.config, study.scorer.probe.lm)
    texts = study.test.texts[:3]
    for mine, theirs in zip(embed_passages(reader, texts), study.test.states[:3]):
        # What is kept of the states is one byte a feature.
        np.testing.assert_allclose(mine.values, theirs.values, atol=0.02)
