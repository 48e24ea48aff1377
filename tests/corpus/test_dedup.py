from pathlib import Path

import numpy as np
import pytest

from copylens.corpus import ingest_corpus, read_split
from copylens.corpus.checks import Kind, UnsplitPassage
from copylens.corpus.dedup import drop_exact, drop_near, jaccard, shingle_hashes
from copylens.records import SplitName
from tests.corpus.corpus_samples import config, prose, row, rows, write_jsonl


def passage(
    identifier: str,
    text: str,
    split: SplitName | None = "train",
    kind: Kind = "registered",
    sub_dataset: str = "x",
) -> UnsplitPassage:
    return UnsplitPassage(
        0, kind, identifier, text, sub_dataset, "h", "l", "", "", identifier, split
    )


def ids(passages: list[UnsplitPassage]) -> list[str]:
    return [d.id for d in passages]


def edited(text: str, words: int, prefix: str = "new") -> str:
    """The text with its first words replaced by ones that begin with the prefix."""
    return " ".join([f"{prefix}{n}" for n in range(words)] + text.split()[words:])


def test_shingles_are_the_distinct_word_5_grams() -> None:
    text = prose("a", 2000)
    words = text.split()
    assert len(shingle_hashes(text)) == len(
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
    )
    assert len(shingle_hashes("to be or")) == 1
    assert list(shingle_hashes("One, two; three four five")) == list(
        shingle_hashes("one two three FOUR five!")
    )
    assert list(shingle_hashes("a b c d e")) != list(shingle_hashes("b a c d e"))


def test_jaccard_agrees_with_the_definition_on_sets() -> None:
    left, right = np.array([1, 2, 3, 9], np.uint32), np.array([2, 3, 4], np.uint32)
    assert jaccard(left, right) == len({2, 3}) / len({1, 2, 3, 4, 9})


def test_equal_up_to_case_and_white_space_is_exact() -> None:
    text = prose("a")
    copies = [
        passage("a", text),
        passage("b", text.upper().replace(" ", " \n ")),
        passage("c", "other"),
    ]
    assert ids(drop_exact(copies)) == ["a", "c"]


@pytest.mark.parametrize(("limit", "kept"), [(0.8, ["a"]), (0.95, ["a", "b"]), (1.0, ["a", "b"])])
def test_near_duplicates_go_by_the_limit(limit: float, kept: list[str]) -> None:
    text = prose("a", 1600)
    near = edited(text, 10)
    similarity = jaccard(shingle_hashes(text), shingle_hashes(near))
    assert 0.85 < similarity < 0.95
    assert ids(drop_near([passage("a", text), passage("b", near)], limit)) == kept


def test_a_low_limit_finds_texts_that_share_half() -> None:
    text = prose("a", 1600)
    half = edited(text, len(text.split()) // 4)
    assert 0.5 < jaccard(shingle_hashes(text), shingle_hashes(half)) < 0.7
    assert ids(drop_near([passage("a", text), passage("b", half)], 0.5)) == ["a"]


RANKED: list[tuple[Kind, SplitName | None]] = [
    ("registered", "test"),
    ("registered", None),
    ("registered", "train"),
    ("background", "background"),
]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
@pytest.mark.parametrize("exact", [True, False])
def test_the_evaluation_side_wins_then_the_first(first: int, second: int, exact: bool) -> None:
    text = prose("a", 1600)
    pair = [
        passage("first", text, RANKED[first][1], RANKED[first][0]),
        passage("second", text if exact else edited(text, 3), RANKED[second][1], RANKED[second][0]),
    ]
    kept = drop_exact(pair) if exact else drop_near(pair, 0.8)
    assert ids(kept) == (["first"] if first <= second else ["second"])


@pytest.mark.parametrize("split", ["train", None])
def test_an_ood_copy_wins_over_what_may_become_train(split: SplitName | None) -> None:
    text = prose("a", 1600)
    pair = [passage("registered", text, split), passage("ood", text, None, "ood")]
    assert ids(drop_exact(pair)) == ["ood"]


def test_ten_thousand_passages_are_not_compared_pair_by_pair(monkeypatch) -> None:
    compared = []

    def counted(left, right):
        compared.append(1)
        return jaccard(left, right)

    monkeypatch.setattr("copylens.corpus.dedup.jaccard", counted)
    texts = [prose(n, 1600) for n in range(500)]
    passages = [
        passage(f"{n}", edited(texts[n % 500], n // 500 * 20, f"new{n % 500}word"))
        for n in range(10_000)
    ]
    kept = drop_near(passages, 0.8)
    # A passage has 19 copies more or less like it; of all pairs there are 50 millions.
    assert len(compared) <= 19 * len(passages)
    # Copies 0, 1, ... of a text differ in 20 words more each; every second one or so is kept.
    assert ids(kept)[:500] == [str(n) for n in range(500)]
    assert len(kept) < len(passages)


def test_copies_across_sub_datasets_and_splits_are_counted(tmp_path: Path) -> None:
    items = rows("x", "y", split="train", count=20)
    items += [row(name, n, split=s) for name in "xy" for n, s in ((90, "val"), (91, "test"))]
    stolen = row("y", 91)["text"]
    items += [
        row("x", 50, text=stolen.upper(), split="train"),
        row("x", 51, text=edited(prose(("x", 3), 300), 1), split="train"),
    ]
    manifest = ingest_corpus(config(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", items)))
    train = {p.id for p in read_split(str(tmp_path / "out"), "train")}
    assert train == {f"{name}-{n}" for name in "xy" for n in range(20)}
    assert {p.id for p in read_split(str(tmp_path / "out"), "test")} == {"x-91", "y-91"}
    assert manifest.counts.rows_duplicate == 2
    assert manifest.counts.rows_kept == 44
