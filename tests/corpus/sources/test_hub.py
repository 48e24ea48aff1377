from pathlib import Path
from typing import Any

import datasets
import pytest

from copylens.corpus.sources.opening import open_source
from copylens.errors import CorpusError
from tests.corpus.corpus_samples import row, rows, write_jsonl


def values(uri: str) -> list[dict[str, Any]]:
    return [r.values for r in open_source(uri).rows()]


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """A saved data set with the columns of the Pile, in two splits."""
    records = [{"text": f"text {n}", "meta": {"pile_set_name": f"set{n % 2}"}} for n in range(6)]
    data = datasets.Dataset.from_list(records)
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "pile")
    return tmp_path / "pile"


def test_columns_are_mapped_by_dotted_paths_and_constants_fill_gaps(pile: Path) -> None:
    read = values(f"hf://{pile}?sub_dataset=meta.pile_set_name&holder=EleutherAI&license=MIT")
    assert [v["sub_dataset"] for v in read] == ["set0", "set1"] * 3
    assert read[3]["text"] == "text 3"
    assert {(v["holder"], v["license"]) for v in read} == {("EleutherAI", "MIT")}


def test_split_rows_and_name_are_honoured(pile: Path) -> None:
    assert len(values(f"hf://{pile}?split=test")) == 1
    assert [v["text"] for v in values(f"hf://{pile}?rows=2")] == ["text 0", "text 1"]
    assert {v["sub_dataset"] for v in values(f"hf://{pile}")} == {"pile"}
    assert {v["sub_dataset"] for v in values(f"hf://{pile}?name=mine")} == {"mine"}


def test_a_mapped_column_that_is_missing_is_not_papered_over(pile: Path) -> None:
    assert {v["sub_dataset"] for v in values(f"hf://{pile}?sub_dataset=meta.nope")} == {None}


def test_a_row_s_own_holder_wins_over_the_constant(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "set" / "train.jsonl", [row("x", 0), row("x", 1, holder="")])
    read = values(f"hf://{tmp_path}/set?holder=fallback&text=text")
    assert [v["holder"] for v in read] == ["holder of x", "fallback"]


def test_a_local_folder_of_data_files_streams(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "set" / "train.jsonl", rows("x", count=4))
    source = open_source(f"hf://{tmp_path}/set?split=train")
    assert [(r.line, r.values["id"]) for r in source.rows()] == [
        (1, "x-0"),
        (2, "x-1"),
        (3, "x-2"),
        (4, "x-3"),
    ]
    before = source.identity()
    write_jsonl(tmp_path / "set" / "train.jsonl", rows("x", count=5))
    assert source.identity() != before


def test_a_hub_name_is_streamed_with_config_split_and_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def load_dataset(*args: Any, **keys: Any) -> list[dict[str, str]]:
        asked.append((args, keys))
        return [{"body": "hello"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    uri = "hf://owner/books?config=en&split=validation&revision=abc&text=body"
    assert values(uri)[0]["text"] == "hello"
    assert values(uri)[0]["sub_dataset"] == "books"
    keys = {"split": "validation", "revision": "abc", "streaming": True}
    assert asked[0] == (("owner/books", "en"), keys)
    assert open_source(uri).origin() == {"version": "abc"}


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(CorpusError) as caught:
        values("hf://owner/books")
    assert "no route to host" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("hf://", "names no data set"),
        ("hf://a/b?txt=body", "unknown key 'txt'; valid keys: split, config"),
        ("hf://a/b?rows=many", "rows must be a whole number, got 'many'"),
        ("hf:///no/such/folder", "the folder '/no/such/folder' is not there"),
    ],
)
def test_a_wrong_uri_is_told_before_anything_is_opened(uri: str, words: str) -> None:
    with pytest.raises(CorpusError) as caught:
        open_source(uri)
    assert words in str(caught.value)


def test_an_unknown_split_lists_the_known_ones(pile: Path) -> None:
    with pytest.raises(CorpusError, match="no split 'dev'; it has test, train"):
        values(f"hf://{pile}?split=dev")


def test_a_saved_folder_without_the_scheme_is_told_how(pile: Path) -> None:
    with pytest.raises(CorpusError, match=f"write it as hf://{pile}"):
        open_source(str(pile))
