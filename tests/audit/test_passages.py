"""Who counts as read, and who does not: never by silence."""

import json

import pytest

from copylens.audit.passages import audit_passages
from copylens.corpus import ingest_corpus, read_split
from copylens.corpus.sampling import bucket
from copylens.errors import ConfigError, CorpusError
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    write_corpus(folder)
    ingest_corpus(tiny_config(folder, folder))
    return folder


def items_of(folder, **changes):
    config = tiny_config(folder, folder, **{f"audit.{key}": v for key, v in changes.items()})
    return audit_passages(config), config


def test_without_a_word_only_train_counts_and_nobody_is_unread(folder):
    items, config = items_of(folder)
    train = {p.id for p in read_split(config.output, "train")}
    assert set(items) == {"code", "law", "sea"}
    assert {item.id for found in items.values() for item in found} == train
    assert {item.kind for found in items.values() for item in found} == {"member"}


def test_what_the_config_calls_unread_is_compared_with(folder):
    items, config = items_of(folder, unread_splits=["val", "ood_val"], unread_buckets=[0, 3])
    for name, found in items.items():
        for item in found:
            read = item.source == "train" and bucket(item.id) not in (0, 3)
            assert item.kind == ("member" if read else "non-member")
            assert name == "kitchen" or item.id.startswith(name)
    assert {item.source for item in items["kitchen"]} == {"ood_val"}
    val = {p.id for p in read_split(config.output, "val")}
    assert val <= {item.id for found in items.values() for item in found}


def test_passages_of_ones_own_are_compared_with_but_not_what_was_read(folder, tmp_path):
    _, config = items_of(folder)
    read = next(p for p in read_split(config.output, "train") if p.sub_dataset == "sea")
    unread = "The anchor was let go at dusk, and nobody on board had anything to say of it. " * 2
    rows = [{"text": text, "sub_dataset": "sea"} for text in (read.text, unread)]
    file = tmp_path / "held.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    items, _ = items_of(folder, against=[str(file)], sub_datasets=["sea"])
    assert set(items) == {"sea"}
    assert [item.text for item in items["sea"] if item.kind == "non-member"] == [unread]


def test_at_most_so_many_evenly_over_groups(folder):
    items, _ = items_of(folder, passages=10, unread_splits=["val", "test"])
    for found in items.values():
        members = [item for item in found if item.kind == "member"]
        assert len(members) == 10
        groups = [item.group for item in members]
        assert max(map(groups.count, groups)) - min(map(groups.count, groups)) <= 1
        assert len([item for item in found if item.kind == "non-member"]) == 10
    assert items == items_of(folder, passages=10, unread_splits=["val", "test"])[0]


def test_mistakes_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"'ocean' is not in the corpus; it has code, law, sea"):
        items_of(folder, sub_datasets=["ocean"])
    file = tmp_path / "other.jsonl"
    file.write_text(json.dumps({"text": "Something about the weather. " * 6, "sub_dataset": "x"}))
    with pytest.raises(CorpusError, match=r"has no passage of code, law, sea"):
        items_of(folder, against=[str(file)])
    with pytest.raises(ConfigError, match="takes buckets"):
        items_of(folder, unread_buckets=[10])
