"""After a takedown nothing of the sub-dataset is left, and the others are judged as before."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from copylens.attributor.lexical.ngrams import char_ngram_ids, word_ngram_ids
from copylens.cli import app
from copylens.corpus import load_manifest, read_split
from copylens.corpus.ingest import ingest_corpus
from copylens.corpus.tombstones import name_hash, removed_since
from copylens.errors import CorpusError, SettlementError
from copylens.fit.data import load_texts
from copylens.registry.reader import bundle_folder, load_scorer
from copylens.store.stages import completed
from copylens.takedown import remove
from copylens.takedown.scrub import scrubbed
from copylens.text import token_ids
from copylens.verdict.bundle import load_bundle
from tests.takedown.conftest import CANARY, GONE

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def content(path: Path) -> str:
    """A file's content as text; packed columns are unpacked, so that nothing hides in them."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return " ".join(str(table.column(name).to_pylist()) for name in table.column_names)
    return path.read_bytes().decode("utf-8", "replace")


def test_no_file_names_it_or_quotes_it(taken) -> None:
    version = f"models:/{taken.summary['model']}/{taken.summary['version']}"
    registered, _, _ = bundle_folder(version, taken.config.tracking.uri)
    files = [f for root in (taken.config.output, registered) for f in Path(root).rglob("*")]
    files = [f for f in files if f.is_file()]
    assert len(files) > 20
    found = [f.name for f in files if GONE in content(f) or CANARY in content(f).lower()]
    assert found == []
    assert any(GONE in content(f) for f in taken.parent.rglob("*.json")), "the search does find"
    assert CANARY in content(next(taken.parent.rglob("model.safetensors")))


def test_no_hashed_word_or_n_gram_of_it_is_left(taken) -> None:
    def ids_of(scorer) -> np.ndarray:
        lexical = scorer.model.attributor.channels.lexical
        levels = [level for model in lexical.models for level in model.levels]
        return np.concatenate(
            [v.vocabulary for v in lexical.views] + [x for e in levels for x in (e.ids, e.contexts)]
        )

    own = np.concatenate([word_ngram_ids([CANARY], 1, 1), char_ngram_ids(CANARY[:5], 5, 5)])
    assert np.isin(own, ids_of(taken.before)).all()
    assert not np.isin(own, ids_of(taken.after)).any()
    assert len(token_ids([CANARY])) == 1


def test_every_part_has_one_less(taken) -> None:
    names = taken.after.model.attributor.sub_datasets
    assert names == ("code", "law", "sea") == tuple(sorted(taken.after.rights))
    assert taken.after.model.attributor.channels.attention.shape.classes == 3
    held = taken.after.model.held_shares
    assert held.shares.shape[1] == 4 and set(held.labels) == {0, 1, 2, 3}
    for level, before in zip(taken.after.model.detector.levels, taken.before.model.detector.levels):
        assert len(level.pure.scores) < len(before.pure.scores)


def test_others_keep_their_order_on_texts_that_had_none_of_it(taken) -> None:
    test = load_texts(taken.config, "test", taken.after.model.attributor.sub_datasets)
    before = taken.before.score(test.texts, test.states).shares
    after = taken.after.score(test.texts, test.states).shares
    all_names = taken.before.model.attributor.sub_datasets
    place = all_names.index(GONE)
    others = [k for k in range(len(all_names)) if k != place]
    none = before[:, place] / before.sum(axis=1) < 0.05
    assert none.sum() >= 8
    order = np.argsort(-before[none][:, others], axis=1)
    assert (order == np.argsort(-after[none], axis=1)).mean() > 0.95
    assert (order[:, 0] == after[none].argmax(axis=1)).all()


def test_each_of_the_others_comes_next_as_often_as_before(taken) -> None:
    before, after = (s.model.attributor for s in (taken.before, taken.after))
    chances = [a.switch_probability / len(a.sub_datasets) for a in (before, after)]
    assert chances[1] == pytest.approx(chances[0])


def test_the_language_models_are_those_of_the_texts_that_are_left(taken) -> None:
    """Independent truth: counted anew without the sub-dataset."""
    from copylens.attributor.lexical.class_lm import ClassLanguageModel
    from copylens.attributor.lexical.classifier import lexical_views

    lexical = taken.after.model.attributor.channels.lexical
    train = load_texts(taken.config, "train", taken.after.model.attributor.sub_datasets)
    streams = lexical_views(lexical.names, lexical.skeleton, train.texts).streams
    for model, stream in zip(lexical.models, streams):
        fresh = ClassLanguageModel.fit(stream, train.labels, 3, len(model.levels))
        got, expected = (m.mean_log_probs(stream[:20]) for m in (model, fresh))
        assert got == pytest.approx(expected, abs=1e-5)


def test_the_version_names_its_parent_and_its_gates_ran(taken) -> None:
    client = mlflow.MlflowClient(taken.config.tracking.uri)
    name = taken.config.tracking.model_name
    tags = client.get_model_version(name, taken.summary["version"]).tags
    assert tags["lineage.parent_version"] == taken.summary["parent"] == "2"
    assert name_hash(GONE) in tags["lineage.removed"] and GONE not in str(tags)
    aliases = client.get_registered_model(name).aliases
    assert taken.summary["champion"] and aliases == {"champion": int(taken.summary["version"])}
    run = client.get_run(client.get_model_version(name, taken.summary["version"]).run_id)
    assert GONE not in str(run.data.to_dictionary())
    arrays = taken.parent / "model" / "scorer.json"
    assert removed_since(taken.after.lineage, _arrays_hash(arrays)) == {name_hash(GONE)}
    assert removed_since(taken.after.lineage, "other") is None


def test_the_run_is_complete_as_it_stands_and_ingest_does_not_bring_it_back(
    taken, tmp_path
) -> None:
    config = taken.config
    manifest = load_manifest(config.output)
    assert completed(config, "embed", manifest.hash) is not None
    assert all(p.sub_dataset != GONE for p in read_split(config.output, "train"))
    again = config.model_copy(update={"output": str(tmp_path / "again")})
    (tmp_path / "again").mkdir()
    record = (Path(config.output) / "removed.json").read_text()
    (tmp_path / "again" / "removed.json").write_text(record)
    fresh = ingest_corpus(again)
    assert fresh.sub_datasets == manifest.sub_datasets
    assert fresh.quarantine_reasons == {"removed": 24}


def test_what_cannot_be_removed_is_told_before_anything_changes(taken) -> None:
    with pytest.raises(CorpusError, match="no registered sub-dataset 'nothing'"):
        remove(taken.config, "nothing")
    model, _ = load_bundle(str(Path(taken.config.output) / "model")), None
    assert len(model.rights) == 3


def test_the_registered_version_carries_what_is_left_of_index_and_audit(taken) -> None:
    version = f"models:/{taken.summary['model']}/{taken.summary['version']}"
    bundle = load_bundle(bundle_folder(version, taken.config.tracking.uri)[0])
    assert set(bundle.attachments["audit"]["sub_datasets"]) == {"code", "law", "sea"}
    assert "evidence" in bundle.attachments
    assert {item.basis for item in bundle.rights} == {"trained_on"}


def test_a_log_is_brought_up_to_date_and_paid_from(taken, tmp_path, monkeypatch) -> None:
    """The commands themselves: verdicts of the parent, rescore (on Ray too), statement."""
    from ray_jobs import rescore

    uri = taken.config.tracking.uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    parent = load_scorer(f"models:/copylens/{taken.summary['parent']}", uri)
    names = parent.model.attributor.sub_datasets
    parent_config = taken.config.model_copy(update={"output": str(taken.parent)})
    test = load_texts(parent_config, "test", names)
    rows = [{"text": text} for text in test.texts]
    texts, log = tmp_path / "texts.jsonl", tmp_path / "log.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdicts = [verdict.to_dict() for verdict in parent.judge(test.texts, test.states)]
    log.write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts))
    words = ["rescore", "--log", str(log), "--since", taken.summary["parent"], "--json"]
    words += ["--texts", str(texts), "--output", str(tmp_path / "new")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    counts = json.loads(done.stdout)
    own = int((test.labels == names.index(GONE)).sum())
    assert counts["verdicts"] == len(rows) and counts["rescored"] >= own > 0
    places = (str(log), str(tmp_path / "on-ray"), taken.summary["parent"], str(texts))
    on_ray = rescore.run(taken.config, *places, "models:/copylens@champion")
    assert {key: on_ray[key] for key in counts if key not in ("seconds", "output")} == {
        key: counts[key] for key in counts if key not in ("seconds", "output")
    }
    for file in ("part-00000.jsonl", "difference/part-00000.jsonl"):
        assert (tmp_path / "on-ray" / file).read_bytes() == (tmp_path / "new" / file).read_bytes()
    words = ["statement", "--log", str(tmp_path / "new"), "--pool", "1000", "--currency", "EUR"]
    words += ["--json", "--output", str(tmp_path / "statement")]
    made = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    assert made["model"]["version"] == taken.summary["version"]
    assert made["method"]["held_out_passages"] and made["log"]["carried"] == counts["carried"]
    assert sum(float(line["amount"]) for line in made["lines"]) == pytest.approx(1000)
    written = [f for place in ("new", "statement") for f in (tmp_path / place).rglob("*")]
    assert not any(GONE in f.read_text() for f in written if f.is_file())
    wrong = CliRunner().invoke(
        app, [*words[:2], str(log), *words[3:], "--model", "models:/copylens/3"]
    )
    assert isinstance(wrong.exception, SettlementError)


def test_scrubbing_takes_keys_entries_and_places_and_leaves_words() -> None:
    value = {
        "a": {"x": 1},
        "list": ["a", "about a thing", {"sub_dataset": "a"}, {"sub_dataset": "b"}],
        "paths": ["dist://a", "s3://bucket/a.jsonl", "data/abc.jsonl"],
        "output": "runs/a",
    }
    assert scrubbed(value, "a") == {
        "list": ["about a thing", {"sub_dataset": "b"}],
        "paths": ["data/abc.jsonl"],
        "output": "runs/a",
    }


def _arrays_hash(scorer_json: Path) -> str:
    return json.loads(scorer_json.read_text())["arrays_sha256"]
