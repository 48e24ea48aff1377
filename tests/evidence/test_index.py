"""Building, adding to, taking from and reading an index."""

import random

import numpy as np
import pytest

from copylens.config.evidence import EvidenceConfig
from copylens.errors import CopyLensError, CorpusError
from copylens.evidence.building import (
    MEAN_STATES,
    build_index,
    build_task,
    plan_index,
    publish_index,
    remove,
)
from copylens.evidence.index import EvidenceIndex
from copylens.evidence.manifest import folder_name
from copylens.evidence.ranking import bm25_scores
from copylens.evidence.words import read_words, word_ids
from copylens.takedown.removal import _clean_evidence
from tests.evidence.evidence_samples import corpus, files, passage, sentence

HOST = sentence(random.Random("host"), 80).split()


def planted(text: str, at: int = 40) -> str:
    return " ".join([*HOST[:at], text, *HOST[at:]])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("index"))
    build_index(folder, corpus(), part_passages=5)
    return EvidenceIndex.open(folder)


def test_a_quotation_leads_to_its_passage_and_its_characters(index):
    for source in corpus()[::5]:
        words = source.text.split()[10:40]
        quoted = ", ".join(words).upper()
        text = planted(quoted)
        (item,) = index.trace(text)
        assert item.kind == "near-verbatim" and item.words == 30 == item.matched
        assert text[item.start : item.end] == quoted
        assert source.text[item.passage_start : item.passage_end] == " ".join(words)
        assert (item.passage_id, item.sub_dataset) == (source.id, source.sub_dataset)
        assert (item.title, item.url) == (source.title, source.source_url)
        assert (item.holder, item.license) == (source.holder, source.license)


def test_verbatim_is_only_what_is_the_same_but_for_white_space(index):
    words = corpus()[7].text.split()[10:40]
    assert index.trace(planted("\n  ".join(words)))[0].kind == "verbatim"
    words[15] = "changed"
    (item,) = index.trace(planted(" ".join(words)))
    assert (item.kind, item.words, item.matched) == ("near-verbatim", 30, 29)


def of_many_quotations(count: int, apart: int) -> str:
    """So many quotations of ten words, with `apart` invented words behind each."""
    rng = random.Random("between")
    sources = corpus()[:count]
    return " ".join(f"{' '.join(p.text.split()[10:20])} {sentence(rng, apart)}" for p in sources)


def test_a_longer_text_may_have_more_spans_than_are_listed(index, monkeypatch):
    """One per 100 characters is traced, since what is quoted counts; `max_spans` are listed."""
    settings = index.settings.model_copy(update={"max_spans": 4})
    monkeypatch.setattr(index, "settings", settings)
    text = of_many_quotations(30, apart=12)
    assert len(text) > 30 * 100
    traced = index.trace(text)
    assert len(traced) == 30
    spans = [item for item in index.evidence(text) if item["kind"] != "nearest"]
    assert spans == [item.to_dict() for item in traced[:4]]
    short = of_many_quotations(8, apart=1)
    assert 4 < len(short) // 100 < 8
    assert len(index.trace(short)) == len(short) // 100


def test_spans_that_were_traced_before_are_listed_and_not_traced_again(index, monkeypatch):
    text = of_many_quotations(3, apart=5)
    traced, whole = index.trace(text), index.evidence(text)
    monkeypatch.setattr(index, "trace", lambda text: pytest.fail("traced again"))
    assert index.evidence(text, spans=traced) == whole
    listed = index.evidence(text, spans=[])
    assert {item["kind"] for item in listed} == {"nearest"}


def test_nothing_is_found_where_nothing_is(index):
    for text in ("", "   ", "one", " ".join(HOST), "—" * 50):
        assert index.trace(text) == []
    assert index.nearest("") == [] == index.nearest("?!")


def test_the_rarest_span_comes_first():
    common = sentence(random.Random(1), 12)
    passages = [passage("alpha", n, f"{common} {p.text}") for n, p in enumerate(corpus("alpha"))]
    source = corpus("beta")[0]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        build_index(folder, [*passages, *corpus("beta")])
        config = EvidenceConfig(boilerplate_groups=5)
        rare = " ".join(source.text.split()[:9])
        text = planted(f"{common} and then {rare}")
        items = EvidenceIndex.open(folder, config).trace(text)
        assert [(i.sub_dataset, i.boilerplate) for i in items] == [("beta", False), ("alpha", True)]
        assert items[1].passages == 12 and items[1].sub_datasets == 1
        patient = EvidenceConfig(boilerplate_groups=7)
        items = EvidenceIndex.open(folder, patient).trace(text)
        assert [i.sub_dataset for i in items] == ["beta", "alpha"]
        assert not items[1].boilerplate and items[0].score > items[1].score


def test_licence_headers_and_what_many_holders_share_are_boilerplate(tmp_path):
    notice = (
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this "
        "software and associated documentation files"
    )
    shared = sentence(random.Random(2), 20)
    passages = corpus()
    passages.append(passage("alpha", 90, f"{notice} {passages[0].text}"))
    passages += [passage(name, 91, shared) for name in ("alpha", "beta", "gamma")]
    build_index(str(tmp_path), passages)
    index = EvidenceIndex.open(str(tmp_path))
    (header,) = index.trace(planted(f"# {notice}"))
    assert header.boilerplate and header.sub_dataset == "alpha"
    stock = index.trace(planted(shared))
    assert len(stock) == 3 and all(item.boilerplate for item in stock)
    assert {item.sub_datasets for item in stock} == {3}
    # A long quotation with a notice before it stays evidence.
    (whole,) = index.trace(planted(passages[36].text))
    assert not whole.boilerplate and whole.words == 80


def test_a_longer_source_outdoes_a_phrase_and_equal_sources_are_both_named(tmp_path):
    words = sentence(random.Random(3), 50).split()
    passages = [*corpus(), passage("alpha", 90, " ".join(words))]
    passages.append(
        passage("beta", 90, f"{' '.join(words[20:30])} {sentence(random.Random(4), 30)}")
    )
    passages.append(passage("gamma", 90, " ".join(words)))
    build_index(str(tmp_path), passages)
    items = EvidenceIndex.open(str(tmp_path)).trace(planted(" ".join(words)))
    assert sorted(item.sub_dataset for item in items) == ["alpha", "gamma"]


def test_what_is_added_later_gives_the_same_bytes(tmp_path):
    build_index(str(tmp_path / "once"), corpus(), part_passages=5)
    build_index(str(tmp_path / "grown"), corpus("gamma", each=9), part_passages=5)
    build_index(str(tmp_path / "grown"), corpus("gamma alpha"), part_passages=5)
    shuffled = corpus()
    random.Random(5).shuffle(shuffled)
    build_index(str(tmp_path / "grown"), shuffled, part_passages=5)
    assert files(tmp_path / "grown") == files(tmp_path / "once")


def test_what_is_taken_out_leaves_no_trace(tmp_path):
    build_index(str(tmp_path / "never"), corpus("alpha gamma"))
    build_index(str(tmp_path / "index"), corpus())
    remove(str(tmp_path / "index"), "beta")
    assert files(tmp_path / "index") == files(tmp_path / "never")
    # Fewer passages than before: the shards that are no more are gone as well.
    build_index(str(tmp_path / "index"), corpus("alpha gamma"), part_passages=3)
    build_index(str(tmp_path / "index"), corpus("alpha gamma"))
    assert files(tmp_path / "index") == files(tmp_path / "never")
    with pytest.raises(CopyLensError, match="no sub-dataset 'beta'; it has alpha, gamma"):
        remove(str(tmp_path / "index"), "beta")
    with pytest.raises(CopyLensError, match="no evidence index"):
        remove(str(tmp_path / "nowhere"), "beta")


def test_a_killed_removal_is_ended_by_the_next_one(tmp_path, monkeypatch):
    build_index(str(tmp_path / "never"), corpus("alpha gamma"))
    folder = tmp_path / "index"
    build_index(str(folder), corpus())
    (folder / MEAN_STATES).mkdir()
    (folder / MEAN_STATES / "beta-0000.npy").write_bytes(b"its mean states")

    def killed(place):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("copylens.evidence.building.storage.remove_tree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(str(folder), "beta")
    assert files(folder) != files(tmp_path / "never")
    _clean_evidence(str(folder), "beta", "")
    assert files(folder) == files(tmp_path / "never")


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(tmp_path):
    build_index(str(tmp_path / "whole"), corpus(), part_passages=5)
    folder = str(tmp_path / "killed")
    tasks = plan_index(folder, corpus(), 5)
    for task in tasks[:4]:
        build_task(task)
    # Killed while the fifth was written, before its marker.
    place = tmp_path / "killed" / folder_name(tasks[4].sub_dataset)
    (place / f"{tasks[4].name}.safetensors").write_bytes(b"half")
    with pytest.raises(CorpusError, match="no evidence index"):
        EvidenceIndex.open(folder)
    tasks = plan_index(folder, corpus(), 5)
    assert [task.done for task in tasks] == [True] * 4 + [False] * (len(tasks) - 4)
    for task in tasks:
        build_task(task)
    publish_index(folder, tasks, "", 5)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_an_index_that_is_another_or_damaged_is_refused(tmp_path):
    folder = str(tmp_path)
    before = build_index(folder, corpus())
    build_index(folder, corpus(seed=1))
    with pytest.raises(CorpusError, match="has changed since this model was registered"):
        EvidenceIndex.open(folder, expected=before.hash)
    plan_index(folder, corpus(), 16_000)
    with pytest.raises(CorpusError, match="is being rebuilt"):
        EvidenceIndex.open(folder)
    (tmp_path / "manifest.json").write_text('{"hash": 1}')
    with pytest.raises(CorpusError, match="is damaged"):
        EvidenceIndex.open(folder)


def test_sub_dataset_names_cannot_leave_the_folder(tmp_path):
    names = ["../../up", "a/b", ".", "Ünïcode 名", "A", "a", "x" * 300]
    folders = {folder_name(name) for name in names}
    assert len(folders) == len(names)
    assert all(set(f) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for f in folders)
    passages = [passage(name, 0, corpus("alpha")[n].text) for n, name in enumerate(names)]
    build_index(str(tmp_path / "index"), passages)
    assert [p.name for p in tmp_path.iterdir()] == ["index"]
    index = EvidenceIndex.open(str(tmp_path / "index"))
    assert index.trace(passages[3].text)[0].sub_dataset == names[3]


def test_short_and_wordless_passages_do_no_harm(tmp_path):
    passages = [*corpus("alpha"), passage("beta", 0, "…"), passage("beta", 1, "two words")]
    build_index(str(tmp_path), passages)
    index = EvidenceIndex.open(str(tmp_path))
    assert index.trace("two words … two words") == []
    assert index.nearest("words")[0].passage_id == "beta-1"


def test_bm25_is_that_of_bm25s():
    import bm25s

    rng = random.Random(6)
    texts = [" ".join(rng.choices("a b c d e f g h i j".split(), k=rng.randint(3, 30)))
             for _ in range(40)]  # fmt: skip
    query = ["b", "e", "j", "nowhere"]
    retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    retriever.index([text.split() for text in texts], show_progress=False)
    expected = retriever.get_scores(query)
    from copylens.evidence.arrays import build_arrays

    shards = [
        build_arrays([word_ids(t) for t in some], [0] * len(some))
        for some in (texts[:15], texts[15:])
    ]
    ours = bm25_scores(shards, np.unique(read_words(" ".join(query)).ids))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_nearest_names_whole_passages_and_quotes_none(index):
    source = corpus()[20]
    words = source.text.split()
    random.Random(7).shuffle(words)
    item = index.nearest(" ".join(words[:30]))[0]
    assert (item.kind, item.passage_id) == ("nearest", source.id)
    assert (item.passage_start, item.passage_end) == (0, len(source.text))
    for value in item.to_dict().values():
        assert not (isinstance(value, str) and words[0] in value)
