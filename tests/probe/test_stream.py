"""The stream against `Probe.states` and against brute force: the same states from other passes."""

import numpy as np
import pytest
import torch

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError
from copylens.probe import probe as probe_module
from copylens.probe.chunks import tokenize
from copylens.probe.detokenize import Detokenizer
from copylens.probe.probe import Probe
from copylens.probe.stream import StateStream
from copylens.probe.writer import Writer, prompt_tokens
from tests.conftest import TEXTS

CAUSAL = ["gpt_neox", "llama", "gpt2"]
NAMED = "When Anna came home, Tom had gone. Tom left a note, and Anna read it. "
WINDOW = 4
EXACT = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Compares before rounding to fp16, which would hide or fake small differences."""
    monkeypatch.setattr(probe_module, "stored", lambda values: values.float().cpu())


def make(lm_folder, family, **options) -> Probe:
    options = {"window": WINDOW, "dtype": "float32", "embeddings": True, **options}
    return Probe(ProbeConfig(model=str(lm_folder(family)), **options))


def feed(stream: StateStream, probe: Probe, ids: list[int], sizes: list[int]) -> None:
    """Passes of these sizes, the last one repeated, with keys and values cached."""
    past, start, sizes = None, 0, list(sizes)
    while start < len(ids):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        piece = torch.tensor([ids[start : start + size]])
        with torch.inference_mode(), stream.listening():
            output = probe.lm.model(input_ids=piece, past_key_values=past, use_cache=True)
        past, start = output.past_key_values, start + size


def streamed(probe: Probe, ids: list[int], prompt: int = 0, sizes=(1,)):
    stream = StateStream(probe, prompt)
    with stream.attached():
        feed(stream, probe, ids, list(sizes))
    return stream.read()


def ids_of(probe: Probe, text: str) -> list[int]:
    return list(tokenize(probe.lm, [text])[0].ids)


def assert_same(got, expected):
    np.testing.assert_allclose(got.values, expected.values, **EXACT)
    np.testing.assert_array_equal(got.spans, expected.spans)
    assert got.tokens == expected.tokens


@pytest.mark.parametrize("family", CAUSAL)
@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[1], NAMED])
def test_without_a_prompt_it_is_what_the_probe_reads(lm_folder, family, text):
    probe = make(lm_folder, family)
    ids = ids_of(probe, text)
    assert WINDOW < len(ids) <= 64
    expected = probe.states([text])[0]
    for sizes in ((1,), (5, 1), (len(ids),), (3, 7, 2)):
        got_text, got = streamed(probe, ids, sizes=sizes)
        assert got_text == text
        assert_same(got, expected)


@pytest.mark.parametrize("family", CAUSAL)
def test_behind_the_tokenizers_prefix_it_is_what_the_probe_reads(lm_folder, family):
    plain = make(lm_folder, family)
    lm = plain.lm.__class__(**{**vars(plain.lm), "prefix": (0,)})
    probe = Probe(plain.config, lm=lm)
    ids = ids_of(probe, TEXTS[0])
    _, got = streamed(probe, [0, *ids], prompt=1)
    assert_same(got, probe.states([TEXTS[0]])[0])


@pytest.mark.parametrize("family", CAUSAL)
@pytest.mark.parametrize("sizes", [(9, 1), (4, 5, 1), (12, 1), (60,)])
def test_behind_a_prompt_it_is_the_full_pass_at_the_texts_positions(lm_folder, family, sizes):
    """Against one pass over prompt and text, without a cache, whose positions are cut out."""
    probe = make(lm_folder, family, layers=(1,))
    prompt, ids = ids_of(probe, TEXTS[2])[:9], ids_of(probe, TEXTS[0])[:22]
    assert len(prompt) > 4
    text, got = streamed(probe, [*prompt, *ids], prompt=len(prompt), sizes=sizes)
    assert text == probe.lm.tokenizer.decode(ids)
    seen = []
    module = probe.lm.base.get_submodule(probe.lm.architecture.blocks[1].attention)
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    whole = torch.tensor([[*prompt, *ids]])
    with torch.no_grad():
        probe.lm.model(whole, use_cache=False)
    hook.remove()
    words = probe.lm.model.get_input_embeddings()(whole[0])
    tokens = torch.cat([words, seen[0]], dim=1)[len(prompt) :].detach()
    means = [part.mean(dim=0) for part in tokens.split(WINDOW)]
    np.testing.assert_allclose(got.values, torch.stack(means).numpy(), **EXACT)


@pytest.mark.parametrize("readings", [range(1, 23), (3, 4, 5, 8, 12, 22), (22,)])
def test_reading_in_between_changes_nothing(lm_folder, readings, monkeypatch):
    """At every border of a window, and however often windows are closed."""
    monkeypatch.setattr("copylens.probe.stream._WAITING", 0)
    probe = make(lm_folder, "gpt_neox")
    ids = ids_of(probe, TEXTS[0])[:22]
    stream = StateStream(probe, 0)
    past = None
    with stream.attached():
        for count, token in enumerate(ids, 1):
            with torch.inference_mode(), stream.listening():
                output = probe.lm.model(
                    input_ids=torch.tensor([[token]]), past_key_values=past, use_cache=True
                )
            past = output.past_key_values
            if count in readings:
                text, got = stream.read()
                assert text == probe.lm.tokenizer.decode(ids[:count])
                if ids_of(probe, text) == ids[:count]:
                    assert_same(got, probe.states([text])[0])


@pytest.mark.parametrize("options", [{"fusion": "mean"}, {"fusion": "project", "project_dim": 5}])
def test_fusions_and_taps(lm_folder, options):
    for tap in ("heads", "attention", "mlp", "residual"):
        for extra in ({}, {"embeddings": False, "layers": (0, 2)}):
            probe = make(lm_folder, "llama", tap=tap, **options, **extra)
            _, got = streamed(probe, ids_of(probe, TEXTS[0]))
            assert_same(got, probe.states([TEXTS[0]])[0])


def test_it_follows_generate_of_the_library(lm_folder):
    """Nothing of the loop is ours: the hooks alone tell the stream what was written."""
    probe = make(lm_folder, "llama")
    prompt = ids_of(probe, TEXTS[2])
    stream = StateStream(probe, len(prompt))
    with stream.attached(), stream.listening():
        written = probe.lm.model.generate(
            torch.tensor([prompt]), max_new_tokens=17, do_sample=False, pad_token_id=3
        )[0, len(prompt) :].tolist()
    # The last token is drawn, but no pass reads it.
    assert stream.ids == written[:-1]
    _, got = stream.read()
    _, expected = streamed(probe, [*prompt, *written[:-1]], len(prompt), (len(prompt), 1))
    assert_same(got, expected)


def test_other_passes_are_not_heard(lm_folder):
    probe = make(lm_folder, "gpt_neox")
    ids = ids_of(probe, TEXTS[0])
    stream, other = StateStream(probe, 0), StateStream(probe, 0)
    with stream.attached(), other.attached():
        feed(stream, probe, ids, [1])
        probe.states([TEXTS[3]])
        feed(other, probe, ids[:5], [1])
    assert len(other.ids) == 5
    assert_same(stream.read()[1], probe.states([TEXTS[0]])[0])
    # Unhooked, the LM is as it was.
    hooks = [m for m in probe.lm.model.modules() if "forward" in vars(m)]
    assert hooks == []


def test_what_it_cannot_follow_is_refused(lm_folder):
    with pytest.raises(ProbeError, match="encoder"):
        StateStream(make(lm_folder, "bert"), 0)
    probe = make(lm_folder, "gpt_neox")
    stream = StateStream(probe, 0)
    with (
        stream.attached(),
        stream.listening(),
        pytest.raises(ProbeError, match="one text at a time, got 2"),
    ):
        probe.lm.model(input_ids=torch.zeros(2, 3, dtype=torch.long))


UNICODE = "“Ça va?” – naïve 猫が好き 🙂🙂 done.\n\n  Two  spaces. "


@pytest.mark.parametrize("text", [*TEXTS, UNICODE])
def test_detokenizer_finds_the_text_and_the_offsets_of_the_tokenizer(lm_folder, text):
    probe = make(lm_folder, "gpt2")
    tokens = tokenize(probe.lm, [text])[0]
    words = Detokenizer(probe.lm.tokenizer)
    pieces = [words.add(token) for token in tokens.ids]
    assert "".join(pieces) == words.text == text
    np.testing.assert_array_equal(words.offsets(len(tokens.ids)), tokens.offsets)


def test_detokenizer_never_shows_half_a_character(lm_folder):
    """Random bytes: what is shown is a beginning of what the tokenizer decodes in the end."""
    tokenizer = make(lm_folder, "gpt2").lm.tokenizer
    generator = np.random.default_rng(0)
    for _ in range(30):
        ids = generator.integers(4, len(tokenizer), 40).tolist()
        words = Detokenizer(tokenizer)
        for token in ids:
            words.add(token)
        whole = tokenizer.decode(ids, skip_special_tokens=True)
        assert words.text == whole.rstrip("\ufffd")
        offsets = words.offsets(len(ids))
        assert (offsets[:, 0] <= offsets[:, 1]).all()
        assert (np.diff(offsets, axis=0) >= 0).all()
        assert offsets[0, 0] == 0
        assert (offsets[1:, 0] <= offsets[:-1, 1]).all(), "no character is nobody's"


def test_detokenizer_keeps_spaces_that_sentencepiece_drops_at_a_start():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "▁the": 1, "▁cat": 2, "s": 3, "▁": 4, "!": 5}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    words = Detokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"))
    assert [words.add(token) for token in (1, 2, 3, 1, 5)] == ["the", " cat", "s", " the", "!"]
    assert words.offsets(3).tolist() == [[0, 3], [3, 7], [7, 8]]


def test_writer_draws_as_the_full_softmax_says(lm_folder):
    """Greedy equals the library's; top_p keeps the smallest set that reaches it."""
    probe = make(lm_folder, "gpt_neox")
    ids = prompt_tokens(probe.lm, TEXTS[2])
    greedy = Writer(probe.lm, ids, None, temperature=0)
    written = [greedy.draw() for _ in range(10)]
    expected = probe.lm.model.generate(
        torch.tensor([ids]), max_new_tokens=10, do_sample=False, pad_token_id=3, eos_token_id=-1
    )
    assert written == expected[0, len(ids) :].tolist()
    with torch.no_grad():
        p = torch.softmax(probe.lm.model(torch.tensor([ids])).logits[0, -1], dim=0)
    ordered, order = p.sort(descending=True)
    size = int((ordered.cumsum(0) < 0.5).sum()) + 1
    kept = set(order[:size].tolist())
    drawn = {
        Writer(probe.lm, ids, None, temperature=1, top_p=0.5, seed=s).draw() for s in range(60)
    }
    assert drawn <= kept
    assert len(drawn) > 1
    # Values that a float32 does not tell from 0 leave the likeliest token.
    for tiny in ({"temperature": 5e-324}, {"top_p": 5e-324}):
        assert (
            Writer(probe.lm, ids, None, **{"temperature": 1.0} | tiny).draw()
            == expected[0, len(ids)]
        )
