"""A user's mistakes: one clear line, exit code 2, nothing half-written."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from copylens import cli
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    # The command sets MLflow's log level before it is imported; here an earlier test may have.
    logging.getLogger("mlflow").setLevel(logging.WARNING)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["copylens", *words])
        capsys.readouterr()  # what the fixtures printed is not the command's
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


def expect_one_line(result, *words):
    code, _, err = result
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err, err


@pytest.fixture
def corpus(tmp_path, lm_folder):
    write_corpus(tmp_path, per_class=12)
    config = tiny_config(tmp_path, lm_folder("gpt_neox"))
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    return tmp_path


def run_with(run, *overrides):
    sets = [word for override in overrides for word in ("--set", override)]
    return run("run", "--config", "c.yaml", *sets)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("corpus.paths=[nowhere.jsonl]", ["nowhere.jsonl"]),
        ("corpus.pathz=[a]", ["corpus.pathz", "corpus.paths"]),
        ("attributor.dropout=1.5", ["attributor.dropout", "1.5"]),
        ("probe.model=/no/such/lm", ["/no/such/lm"]),
        ("corpus.min_chars=100000", ["check"]),
    ],
)
def test_whole_inputs_that_cannot_be_used(run, corpus, override, words):
    expect_one_line(run_with(run, override), *words)
    assert not (corpus / "run").exists()


def test_a_file_that_is_no_corpus(run, corpus):
    (corpus / "image.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    expect_one_line(run_with(run, "corpus.paths=[image.jsonl]"), "image.jsonl")
    assert not (corpus / "run").exists()


def test_one_sub_dataset_only(run, corpus):
    rows = [json.loads(line) for line in (corpus / "registered.jsonl").read_text().splitlines()]
    only = [row for row in rows if row["sub_dataset"] == "sea"]
    (corpus / "one.jsonl").write_text("\n".join(map(json.dumps, only)))
    expect_one_line(run_with(run, "corpus.paths=[one.jsonl]"), "sea")
    assert not (corpus / "run").exists()


def test_a_sub_dataset_without_test_passages(run, corpus):
    rows = [json.loads(line) for line in (corpus / "registered.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows):
        row["split"] = "train" if row["sub_dataset"] == "law" else ["train", "val", "test"][i % 3]
    (corpus / "split.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expect_one_line(run_with(run, "corpus.paths=[split.jsonl]"), "law", "test")


@pytest.mark.ray
def test_an_lm_without_attention(run, corpus, lm_folder, tmp_path, cluster):
    from transformers import AutoModelForCausalLM, MambaConfig

    folder = tmp_path / "mamba"
    shutil.copytree(lm_folder("gpt_neox"), folder)
    (folder / "model.safetensors").unlink()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 400}
    AutoModelForCausalLM.from_config(MambaConfig(**sizes)).save_pretrained(folder)
    code, _, err = run_with(run, f"probe.model={folder}")
    assert code == 2
    assert "mamba" in err.splitlines()[-1]
    assert "no attention" in err.splitlines()[-1]


@pytest.mark.ray
def test_a_damaged_lm_is_found_on_the_worker(run, corpus, lm_folder, tmp_path, cluster):
    folder = tmp_path / "damaged"
    shutil.copytree(lm_folder("gpt_neox"), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:60])
    code, _, err = run_with(run, f"probe.model={folder}")
    assert code == 2
    # Ray logs to a stream that pytest has closed; the last line is ours.
    assert err.splitlines()[-1].startswith("error: ")
    assert "damaged" in err.splitlines()[-1]


def test_stages_out_of_order(run, corpus):
    expect_one_line(run("train", "--config", "c.yaml"), "embed", "run it first")


@pytest.mark.parametrize("content", [b"", b" \n\t ", b"\xff\xfe\xfa"])
def test_texts_that_cannot_be_scored(run, tmp_path, content):
    (tmp_path / "text.txt").write_bytes(content)
    expect_one_line(run("score", "text.txt"), "text.txt")


def test_a_row_without_a_text_is_named_by_its_line(run, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "fine"}\n{"words": 3}\n')
    expect_one_line(run("score", "rows.jsonl"), "rows.jsonl:2")


def test_a_model_that_is_not_in_the_registry(run, tmp_path):
    (tmp_path / "text.txt").write_text("Some words.")
    uri = f"sqlite:///{tmp_path}/empty.db"
    expect_one_line(run("score", "text.txt", "--tracking-uri", uri), "models:/copylens@champion")
    expect_one_line(run("score", "text.txt", "--model", "nowhere"), "nowhere", "no scorer")


def test_a_missing_config(run):
    expect_one_line(run("run", "--config", "absent.yaml"), "absent.yaml")


def test_help_names_every_verb(run):
    code, out, _ = run("--help")
    assert code == 0
    stages = ("ingest", "embed", "train", "evaluate", "index", "promote")
    for verb in (*stages, "run", "submit", "score", "generate"):
        assert verb in out
    assert Path.cwd().exists()
