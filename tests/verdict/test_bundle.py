"""Saved scorers: what comes back judges the same, and what is not whole is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from copylens.errors import ModelError
from copylens.verdict.bundle import FILES, FORMAT, SCORER_FILE, load_bundle
from copylens.verdict.scorer import Scorer
from tests.fit.fit_samples import FEATURES, NAMES, RIGHTS, outside, part

ARRAYS = "model.safetensors"
CASES = ("words", "words_and_states", "states_alone", "no_strangers")


@pytest.fixture(params=CASES)
def scorer(request) -> Scorer:
    return request.getfixturevalue(request.param)


@pytest.fixture
def saved(words, tmp_path) -> Path:
    words.save(str(tmp_path / "model"))
    return tmp_path / "model"


def test_what_comes_back_scores_the_same_to_the_last_bit(scorer, tmp_path) -> None:
    scorer.save(str(tmp_path))
    copy = Scorer.load(str(tmp_path))
    for texts in (part("test", 3, 7, FEATURES), outside(3, 8, FEATURES)):
        first, second = (each.score(texts.texts, texts.states) for each in (scorer, copy))
        for name in ("log_probs", "shares", "unregistered", "p_value", "ood_score"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name), name)
        judged = [each.judge(texts.texts, texts.states) for each in (scorer, copy)]
        assert judged[0] == judged[1]
    for part_of in ("detector", "intervals"):
        saved, read = (getattr(each.model, part_of).arrays() for each in (scorer, copy))
        assert saved.keys() == read.keys()
        for name, array in saved.items():
            np.testing.assert_array_equal(read[name], array, name)
    assert copy.model.timeline == scorer.model.timeline
    assert copy.model.detector.smallest_p == scorer.model.detector.smallest_p
    held, kept = (vars(each.model.held_shares) for each in (scorer, copy))
    for name, array in held.items():
        np.testing.assert_array_equal(kept[name], array, name)


def test_a_space_comes_back_where_there_is_one(scorer, tmp_path, request) -> None:
    scorer.save(str(tmp_path))
    space = Scorer.load(str(tmp_path)).model.detector.space
    assert (space is not None) == (scorer.model.detector.space is not None)
    assert (space is not None) == ("states" in request.node.callspec.id)
    if space is not None:
        np.testing.assert_array_equal(space.centres, scorer.model.detector.space.centres)


def test_config_rights_and_lineage_come_back(scorer, tmp_path) -> None:
    scorer.save(str(tmp_path))
    bundle = load_bundle(str(tmp_path))
    assert bundle.config == scorer.config
    assert bundle.rights == RIGHTS
    assert bundle.lineage == scorer.lineage
    assert bundle.model.attributor.sub_datasets == NAMES
    again = Scorer.load(str(tmp_path), "other", "7")
    assert (again.identity.name, again.identity.version) == ("other", "7")


def test_the_same_scorer_is_the_same_bytes(words, saved, tmp_path) -> None:
    words.save(str(tmp_path / "again"))
    for name in FILES:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_two_files_hold_it_and_neither_runs_code(saved) -> None:
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)
    assert load_file(saved / ARRAYS)["held.labels"].tolist()
    assert json.loads((saved / SCORER_FILE).read_text())["format"] == FORMAT


def test_a_moved_lm_is_named_at_loading(words_and_states, tmp_path) -> None:
    words_and_states.save(str(tmp_path))
    assert Scorer.load(str(tmp_path), probe="/elsewhere/lm").config.probe.model == "/elsewhere/lm"


def test_a_folder_without_a_scorer_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"holds no scorer \(scorer.json is missing\)"):
        Scorer.load(str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / ARRAYS).unlink(), f"{ARRAYS}' is missing"),
        (lambda folder: cut(folder / ARRAYS), f"{ARRAYS}' is damaged"),
        (lambda folder: cut(folder / SCORER_FILE), f"{SCORER_FILE}' is no valid JSON"),
        (lambda folder: edit(folder, format=4), "format 4, .* reads format 8 alone; train again"),
        (lambda folder: edit(folder, format=None), "format None"),
        (lambda folder: edit(folder, arrays_sha256="0" * 64), f"{ARRAYS}' is damaged"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(saved, damage, message) -> None:
    damage(saved)
    with pytest.raises(ModelError, match=message) as caught:
        Scorer.load(str(saved))
    assert "\n" not in str(caught.value)


def test_arrays_of_another_scorer_are_refused(saved, words_and_states, tmp_path) -> None:
    words_and_states.save(str(tmp_path / "other"))
    (saved / ARRAYS).write_bytes((tmp_path / "other" / ARRAYS).read_bytes())
    with pytest.raises(ModelError, match=f"{ARRAYS}' is damaged"):
        Scorer.load(str(saved))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def edit(folder: Path, **changes: object) -> None:
    meta = json.loads((folder / SCORER_FILE).read_text())
    (folder / SCORER_FILE).write_text(json.dumps(meta | changes))
