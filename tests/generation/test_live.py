"""Live verdicts: when they come, what they say, how they end; by a scorer that is told what to say
and by a real one."""

from dataclasses import replace

import pytest

from copylens.config.schema import ProbeConfig
from copylens.errors import ConfigError, LevelError, ProbeError, TextError
from copylens.generation.flags import Block, FlagDebouncer, block_sources
from copylens.generation.live import Schedule, StopCutter, generate
from copylens.probe.probe import Probe
from copylens.probe.writer import Writer
from tests.conftest import TEXTS
from tests.generation.live_samples import ScriptedScorer, verdict


@pytest.fixture
def scorer(lm_folder):
    probe = Probe(ProbeConfig(dtype="float32", model=str(lm_folder("gpt_neox")), window=4))
    return ScriptedScorer(probe)


def write(scorer, **options):
    options = {"max_tokens": 30, "every": 8, "seed": 1, **options}
    return list(generate(scorer, "The sea was calm", **options))


def text_of(steps) -> str:
    return "".join(step.piece for step in steps)


def test_pieces_add_up_and_the_last_step_ends_it(scorer):
    steps = write(scorer)
    assert text_of(steps) == steps[-1].text
    assert [n for n, step in enumerate(steps, 1) if step.verdict is not None] == [8, 31]
    assert [step.finish for step in steps] == [None] * 30 + ["length"]
    assert [step.tokens for step in steps] == [*range(1, 31), 30]


def test_running_verdicts_are_of_what_was_written_so_far(scorer):
    steps = write(scorer)
    scored = [step for step in steps if step.verdict is not None]
    assert [states.tokens for _, states in scorer.judged] == [8]
    for (text, _), step in zip(scorer.judged, scored):
        assert text == step.text
    # The final one is asked for by the text alone, as anybody else would.
    assert scorer.asked == [steps[-1].text]


def test_the_same_seed_gives_the_same_and_another_does_not(scorer):
    first, again, other = write(scorer), write(scorer), write(scorer, seed=2)
    assert first == again
    assert first[-1].text != other[-1].text


def test_temperature_zero_needs_no_seed(scorer):
    assert write(scorer, temperature=0)[-1].text == write(scorer, temperature=0, seed=9)[-1].text


def test_scoring_does_not_change_what_is_written(scorer):
    assert write(scorer, every=1)[-1].text == write(scorer, every=30)[-1].text


def test_two_generations_in_turns_do_not_mix(scorer):
    alone = [write(scorer, seed=seed) for seed in (1, 2)]
    turns = [generate(scorer, "The sea was calm", 30, 8, seed=seed) for seed in (1, 2)]
    together = [[], []]
    for _ in range(31):
        for steps, generation in zip(together, turns):
            steps.append(next(generation))
            scorer.probe.states([TEXTS[1]])
    assert together == alone


def test_a_generation_that_is_left_leaves_no_hook(scorer):
    generation = generate(scorer, "The sea", 30)
    next(generation)
    modules = list(scorer.probe.lm.model.modules())
    assert any("forward" in vars(module) for module in modules)
    generation.close()
    assert not any("forward" in vars(module) for module in modules)


def test_a_level_that_the_calibration_does_not_allow_is_refused_before_the_first_token(scorer):
    with pytest.raises(LevelError, match=r"above 0\.004, got 0\.001"):
        next(generate(scorer, "The sea was calm", alpha=0.001))
    assert scorer.judged == scorer.asked == []


@pytest.mark.parametrize("decision", ["abstain", "unregistered"])
def test_no_flag_names_a_source_of_a_text_that_is_not_registered(scorer, decision):
    """However large a share: most of the rest may be of none of them."""
    scorer.says = [verdict("sea", share=0.9, decision=decision)]
    steps = write(scorer, policy=block_sources(["sea"], 0.1), confirm=1)
    (flag,) = [step.flag for step in steps if step.flag]
    assert flag.content == (decision, None) and flag.holder is None
    assert steps[-1].finish == "length" and steps[-1].blocked is None


def test_the_context_ends_the_text(scorer, monkeypatch):
    monkeypatch.setattr(Writer, "is_end", lambda self, token: False)
    steps = write(scorer, max_tokens=500)
    read = len(scorer.probe.lm.tokenizer("The sea was calm")["input_ids"])
    assert steps[-1].tokens == 64 - read
    assert steps[-1].finish == "length"
    long = list(generate(scorer, " ".join(TEXTS * 3), max_tokens=500))
    assert long[-1].tokens == 32, "half of the context is left to write in"


def test_the_end_token_ends_the_text(scorer, monkeypatch):
    drawn = []
    draw = Writer.draw
    monkeypatch.setattr(Writer, "draw", lambda self: drawn.append(draw(self)) or drawn[-1])
    plain = write(scorer)
    words = scorer.probe.lm.tokenizer
    end = drawn[9]
    words.eos_token = words.convert_ids_to_tokens(end)
    steps = write(scorer)
    assert steps[-1].finish == "stop"
    assert steps[-1].tokens == drawn.index(end)
    assert plain[-1].text.startswith(steps[-1].text)


def test_a_stop_string_is_not_shown(scorer):
    whole = write(scorer)[-1].text
    stop = whole[20:24]
    steps = write(scorer, stop=[stop, "never written"])
    assert steps[-1].finish == "stop"
    assert text_of(steps) == steps[-1].text == whole[: whole.index(stop)]
    assert scorer.asked[-1] == steps[-1].text


def test_stop_strings_are_found_across_pieces_and_what_only_begins_like_one_is_shown():
    text, stop = "one STO two STOP three", ["STOP", "xyz"]
    for size in range(1, 9):
        cutter = StopCutter(stop)
        pieces = [cutter.add(text[i : i + size]) for i in range(0, len(text), size)]
        assert "".join(pieces) + cutter.rest() == cutter.text == "one STO two "
        assert cutter.stopped
    cutter = StopCutter(stop)
    assert cutter.add("the end ST") == "the end "
    assert cutter.rest() == "ST"
    assert cutter.text == "the end ST"
    assert StopCutter([""]).add("anything") == "anything"


def test_schedule_grows_with_the_text():
    schedule = Schedule(32, growth=0.5)
    assert [n for n in range(1, 500) if schedule.due(n)] == [32, 64, 96, 128, 192, 288, 416]
    schedule = Schedule(10, growth=0.0)
    assert [n for n in range(1, 45) if schedule.due(n)] == [10, 20, 30, 40]
    # The end of the text is the final verdict's.
    schedule = Schedule(10, growth=1.0, limit=40)
    assert [n for n in range(1, 41) if schedule.due(n)] == [10, 20]


def test_a_flag_needs_confirmation_and_does_not_flicker():
    sea, law = verdict("sea"), verdict("law")
    clean = verdict("sea", decision="unregistered")
    debouncer = FlagDebouncer(confirm=2)
    said = [sea, law, sea, sea, sea, law, sea, clean, sea, law, law, clean, law, clean, clean]
    raised = [
        (n, flag.content)
        for n, item in enumerate(said)
        if (flag := debouncer.update(item, n)) is not None
    ]
    assert raised == [
        (3, ("registered", "sea")),
        (10, ("registered", "law")),
        (14, ("unregistered", None)),
    ]
    assert debouncer.current.tokens == 14
    assert debouncer.update(law, 15, final=True).content == ("registered", "law")
    assert debouncer.update(law, 16, final=True) is None


def test_a_clear_share_needs_no_confirmation():
    debouncer = FlagDebouncer(confirm=2, clear=0.6)
    # Of the registered 0.9, 0.5 is less than 0.6 and 0.55 is more.
    assert debouncer.update(verdict("sea", share=0.5), 1) is None
    assert debouncer.update(verdict("law", share=0.55), 2).content == ("registered", "law")
    strong = verdict("sea", share=0.9, decision="unregistered")
    assert debouncer.update(strong, 3) is None, "it names no source"


def test_flags_come_with_the_verdict_that_confirms_them(scorer):
    scorer.says = [verdict("law"), verdict("law"), verdict("sea")]
    steps = write(scorer, max_tokens=34)
    flags = [(step.tokens, step.flag.sub_dataset) for step in steps if step.flag]
    assert flags == [(32, "law"), (34, "sea")]
    assert next(s.flag for s in steps if s.flag).holder == "Law Press"


def test_a_policy_ends_the_text(scorer):
    scorer.says = [verdict("sea"), verdict("sea"), verdict("sea")]
    steps = write(scorer, every=4, policy=block_sources({"sea"}))
    assert steps[-1].finish == "blocked"
    assert [step.tokens for step in steps] == [*range(1, 17), 16]
    assert steps[-2].blocked == Block(
        "the text draws on sea (Sea Press), share 0.50", "sea", "Sea Press"
    )
    assert steps[-1].blocked is None, "it is told once"
    assert steps[-1].verdict is not None
    assert scorer.asked == [steps[-1].text]


def test_a_short_text_is_blocked_at_its_end(scorer):
    scorer.says = [verdict("sea")]
    steps = write(scorer, max_tokens=5, policy=block_sources())
    assert steps[-1].finish == "blocked"
    assert steps[-1].blocked.sub_dataset == "sea"
    assert steps[-1].flag.content == ("registered", "sea")


@pytest.mark.parametrize(
    ("policy", "blocked"),
    [
        (block_sources({"law"}), False),
        (block_sources({"sea"}, share=0.9), False),
        (block_sources(share=0.8), True),
    ],
)
def test_policies_look_at_source_and_share(policy, blocked):
    flag = FlagDebouncer(1).update(verdict("sea", share=0.8), 10)
    assert (policy(verdict("sea"), flag) is not None) == blocked
    assert policy(verdict("sea"), None) is None
    assert policy(verdict("sea"), replace(flag, decision="abstain", sub_dataset=None)) is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"temperature": -1.0}, "temperature must be >= 0, got -1.0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"max_tokens": 0}, "at least 1"),
        ({"every": 0}, "at least 1"),
    ],
)
def test_options_outside_their_range(scorer, options, line):
    with pytest.raises(ConfigError, match=line):
        write(scorer, **options)


def test_what_cannot_be_written_on(scorer, lm_folder):
    with pytest.raises(TextError, match="prompt is empty"):
        next(generate(scorer, " \n"))
    bert = Probe(ProbeConfig(dtype="float32", model=str(lm_folder("bert"))))
    with pytest.raises(ProbeError, match="cannot write"):
        next(generate(ScriptedScorer(bert), "The sea"))
