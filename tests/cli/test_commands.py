"""Verbs that need no LM and no cluster: what goes in, what comes out, as text and as JSON."""

import gzip
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from copylens import __version__
from copylens.cli import app
from copylens.errors import CopyLensError
from copylens.verdict.evidence import NO_INDEX
from copylens.verdict.scorer import Scorer
from serve.http.auth import find_key, parse_keys
from tests.corpus.corpus_samples import rows, write_jsonl
from tests.fit.fit_samples import config_of, outside, part, scorer_of, training_data

TEXTS = [*part("test", 2, 7).texts[::4], outside(1, 8).texts[0]]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """The folder of a scorer that judges by words alone."""
    folder = str(tmp_path_factory.mktemp("model"))
    scorer_of(config_of(), training_data()).save(folder)
    return folder


@pytest.fixture(scope="module")
def log(model, tmp_path_factory) -> Path:
    """Verdicts as `copylens score` writes them."""
    folder = tmp_path_factory.mktemp("log")
    write_texts(folder / "texts.jsonl")
    (folder / "log.jsonl").write_text(ok("score", str(folder / "texts.jsonl"), "--model", model))
    return folder / "log.jsonl"


def write_texts(path: Path) -> None:
    path.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))


def ok(*words: str, **named: object) -> str:
    """What a verb that ends well writes to stdout."""
    done = CliRunner().invoke(app, [*words], catch_exceptions=False, **named)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*words: str) -> str:
    """The one line of a verb that refuses."""
    with pytest.raises(CopyLensError) as caught:
        CliRunner().invoke(app, [*words], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def as_lines(verdicts) -> list[dict]:
    return json.loads(json.dumps([verdict.to_dict() for verdict in verdicts]))


def test_version():
    assert ok("version") == f"{__version__}\n"


def test_score_writes_the_verdicts_of_the_scorer_a_line_each(model, log):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == as_lines(Scorer.load(model).verdicts(TEXTS, evidence=True))
    assert [line["shares"][0]["sub_dataset"] for line in lines[:6:2]] == ["sea", "law", "code"]


def test_score_reads_a_text_rows_packed_rows_and_a_pipe_alike(model, tmp_path):
    one = as_lines(Scorer.load(model).verdicts(TEXTS[:1], evidence=True))
    row = json.dumps({"text": TEXTS[0]}).encode()
    (tmp_path / "text.txt").write_text(TEXTS[0])
    (tmp_path / "rows.jsonl").write_bytes(row)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(row))
    for name in ("text.txt", "rows.jsonl", "rows.jsonl.gz"):
        out = ok("score", str(tmp_path / name), "--model", model)
        assert [json.loads(line) for line in out.splitlines()] == one
    for piped in (TEXTS[0].encode(), row):
        out = ok("score", "-", "--model", model, input=piped)
        assert [json.loads(line) for line in out.splitlines()] == one


def test_a_statement_counts_the_documents_of_what_score_wrote(model, tmp_path):
    """Thirty texts of twenty-two documents: names travel from the row to the statement."""
    names = [f"d{n % 21}" for n in range(29)] + [7]
    rows = [{"text": TEXTS[n % 3], "id": n, "document": name} for n, name in enumerate(names)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = ok("score", str(tmp_path / "texts.jsonl"), "--model", model)
    assert json.loads(out.splitlines()[-1])["document"] == "7"
    (tmp_path / "log.jsonl").write_text(out)
    asked = ("--log", str(tmp_path / "log.jsonl"), "--pool", "100", "--currency", "EUR")
    made = json.loads(ok("statement", *asked, "--model", model, "--json"))
    assert (made["log"]["texts"], made["log"]["documents"]) == (30, 22)


def test_score_says_why_there_is_no_evidence_and_refuses_where_it_was_asked_for(model, tmp_path):
    (tmp_path / "text.txt").write_text(TEXTS[0])
    asked = ("score", str(tmp_path / "text.txt"), "--model", model)
    reasons = [
        (verdict["evidence"], verdict["evidence_reason"])
        for verdict in (json.loads(ok(*asked)), json.loads(ok(*asked, "--no-evidence")))
    ]
    assert reasons == [(None, NO_INDEX), (None, "not asked for")]
    assert refused(*asked, "--evidence") == f"there is no evidence to give: {NO_INDEX}"


def test_score_takes_another_false_alarm_level(model, tmp_path):
    write_texts(tmp_path / "texts.jsonl")
    out = ok("score", str(tmp_path / "texts.jsonl"), "--model", model, "--alpha", "1")
    decisions = [json.loads(line)["decision"] for line in out.splitlines()]
    expected = [verdict.decision for verdict in Scorer.load(model).verdicts(TEXTS, alpha=1.0)]
    assert decisions == expected and "unregistered" in decisions


def test_score_with_evidence_needs_an_index(model, tmp_path):
    (tmp_path / "text.txt").write_text(TEXTS[0])
    said = refused("score", str(tmp_path / "text.txt"), "--model", model, "--evidence")
    assert "no evidence index; run `copylens index`" in said


def test_a_level_below_what_the_calibration_allows_is_refused_with_the_smallest(model, tmp_path):
    write_texts(tmp_path / "texts.jsonl")
    said = refused("score", str(tmp_path / "texts.jsonl"), "--model", model, "--alpha", "0.0001")
    assert f"alpha must be above {Scorer.load(model).smallest_p:.3g}" in said


@pytest.mark.parametrize("alpha", ["1.5", "-0.1", "often"])
def test_a_level_that_is_no_probability_is_refused_with_code_2(model, alpha):
    done = CliRunner().invoke(app, ["score", "x.txt", "--model", model, "--alpha", alpha])
    assert done.exit_code == 2


def config_file(folder: Path, source: str) -> str:
    (folder / "c.yaml").write_text(
        json.dumps({"output": str(folder / "run"), "corpus": {"paths": [source]}})
    )
    return str(folder / "c.yaml")


def test_ingest_tells_what_it_counted_and_then_that_there_is_nothing_to_do(tmp_path):
    items = rows("x", "y", count=20)
    source = write_jsonl(tmp_path / "a.jsonl", [*items, b"{broken", {"sub_dataset": "x"}])
    config = config_file(tmp_path, source)
    (line,) = ok("ingest", "-c", config, "--json").splitlines()
    summary = json.loads(line)
    assert summary["stage"] == "ingest" and not summary["skipped"]
    counted = [summary[f"rows_{name}"] for name in ("read", "kept", "quarantined", "duplicate")]
    assert counted == [42, 40, 2, 0]
    assert "already complete, nothing to do" in ok("ingest", "-c", config)
    assert "rows read: 42" in ok("ingest", "-c", config, "-s", "seed=2")


@pytest.mark.parametrize(
    ("source", "overrides", "said"),
    [
        ("nowhere.jsonl", [], "nowhere.jsonl"),
        ("a.jsonl", ["-s", "corpus.min_chars=0"], "corpus.min_chars"),
        ("a.jsonl", ["-s", "corpus.min_char=9"], "corpus.min_chars"),
        ("a.jsonl", ["-s", "corpus.min_chars=9999"], "too_short"),
    ],
)
def test_an_ingest_that_cannot_be_leaves_nothing(source, overrides, said, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows("x", "y", count=20))
    config = config_file(tmp_path, str(tmp_path / source))
    assert said in refused("ingest", "-c", config, *overrides)
    assert not (tmp_path / "run").exists()


def test_a_statement_sums_to_the_pool_as_json_as_a_table_and_as_files(model, log, tmp_path):
    words = ["statement", "--log", str(log), "--pool", "1000.00", "--currency", "EUR"]
    words += ["--model", model]
    made = json.loads(ok(*words, "--json", "--output", str(tmp_path / "made")))
    cents = sum(round(100 * float(line["amount"])) for line in made["lines"])
    assert cents == 100_000
    assert json.loads((tmp_path / "made" / "statement.json").read_text()) == made
    table = ok(*words)
    for line in made["lines"]:
        assert line["amount"] in table and line["sub_dataset"] in table


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--pool": "a lot"}, "a lot"),
        ({"--pool": "10.001"}, "10.001"),
        ({"--currency": "euros"}, "euros"),
        ({"--log": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--model": "nowhere"}, "nowhere"),
        ({"--allow": "Nobody Press"}, "Nobody Press"),
    ],
)
def test_a_statement_that_cannot_be_made_says_why(changed, said, model, log):
    given = {"--log": str(log), "--pool": "1000", "--currency": "EUR", "--model": model}
    words = [word for pair in (given | changed).items() for word in pair]
    assert said in refused("statement", *words)


def test_a_log_of_a_scorer_without_a_version_needs_its_folder(log):
    said = refused("statement", "--log", str(log), "--pool", "1", "--currency", "EUR")
    assert "in no registry; name its folder with --model" in said


def test_a_new_key_opens_and_its_line_does_not_hold_it():
    done = CliRunner().invoke(app, ["keys", "new", "ann@press", "--per-minute", "30"])
    assert done.exit_code == 0
    (key,) = re.findall(r"copylens_[\w-]+", done.stderr)
    assert key not in done.stdout
    keys = parse_keys(done.stdout, "here")
    found = find_key(keys, key)
    assert found is not None and (found.name, found.per_minute) == ("ann@press", 30)
    assert find_key(keys, f"{key}x") is None


@pytest.mark.parametrize("name", ["two words", "x" * 65, "a#b"])
def test_a_name_that_a_keys_file_cannot_hold_is_refused(name):
    assert "cannot name a key" in refused("keys", "new", name)
