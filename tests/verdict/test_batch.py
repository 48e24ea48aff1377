"""A shard of a log scored in this process: each verdict has the names of its row."""

import json

from copylens.verdict.batch import ShardScorer, finish_scores, plan_scores
from copylens.verdict.pyfunc import VerdictModel
from tests.fit.fit_samples import part

TEXTS = part("test", 3, 7).texts
GIVEN = [{"id": 0, "document": "d"}, {"id": "", "document": 2.5}, {}]
NAMES = [("0", "d"), (None, "2.5"), (None, None)]


def test_ids_and_documents_come_back_as_strings_and_are_null_where_there_was_none(words, tmp_path):
    rows = [{"text": text, **names} for text, names in zip(TEXTS, GIVEN)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tasks = plan_scores(str(tmp_path / "log.jsonl"), str(tmp_path / "out"), "m", 2)
    for task in tasks:
        ShardScorer(words)(task)
    assert finish_scores(str(tmp_path / "out"), tasks)["verdicts"] == 3
    parts = sorted((tmp_path / "out").glob("part-*.jsonl"))
    lines = [json.loads(line) for file in parts for line in file.read_text().splitlines()]
    assert [(line["id"], line["document"]) for line in lines] == NAMES
    assert [line["row"] for line in lines] == [1, 2, 3]


def test_a_table_of_the_registrys_generic_model_gives_its_names_too(words):
    import pandas as pd

    table = pd.DataFrame({"text": TEXTS[:2], "document": ["d", None]})
    made = VerdictModel(words).predict(table)
    verdicts = [json.loads(row) for row in made["verdict"]]
    assert [(v["id"], v["document"]) for v in verdicts] == [(None, "d"), (None, None)]
