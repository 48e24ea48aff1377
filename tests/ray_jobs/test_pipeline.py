"""The stages end to end on a small corpus and a tiny LM, on a real Ray and a real MLflow."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from copylens.evaluation.contract import check_report
from copylens.records import SPLITS
from copylens.registry.reader import load_scorer
from copylens.states.embed import plan
from copylens.store import storage
from copylens.verdict.scorer import Scorer
from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import WITHOUT_INDEX, tiny_config, write_corpus

pytestmark = pytest.mark.ray


def report_of(config) -> dict:
    return storage.read_json(storage.join(config.output, "report.json"))


def state_hashes(config) -> dict[str, str]:
    return {
        uri.removeprefix(config.output): storage.sha256(storage.read_bytes(uri))
        for split in SPLITS
        for uri in storage.list_files(storage.join(config.output, "states", split), ".parquet")
    }


def test_every_stage_ran_and_the_report_keeps_its_contract(finished):
    config, summaries = finished
    assert [s["stage"] for s in summaries] == list(WITHOUT_INDEX)
    assert not any(s["skipped"] for s in summaries)
    report = report_of(config)
    check_report(report)
    # The three word lists hardly overlap: anything below this is broken, not hard.
    assert report["attribution"]["accuracy"] > 0.9
    assert report["ood"]["auroc"] > 0.8
    assert report["attribution"]["n"] == summaries[0]["passages"] - sum(
        sum(row.values()) - row["test"] for row in summaries[0]["sub_datasets"].values()
    ) - sum(summaries[0]["unregistered"]["kitchen"].values())


def test_the_page_shows_the_figures_of_the_report(finished):
    config, _ = finished
    report = report_of(config)
    page = storage.read_bytes(storage.join(config.output, "report.html")).decode()
    ours = re.findall(r'<tr class="ours">.*?</tr>', page, re.DOTALL)
    shown = re.findall(r"<td>([^<]+)</td>", "".join(ours))
    attribution, ood = report["attribution"], report["ood"]
    assert shown == [
        f"{100 * attribution['accuracy']:.1f} %",
        f"{attribution['macro_f1']:.3f}",
        f"{ood['auroc']:.3f}",
        f"{ood['fpr95']:.3f}",
    ]
    matrix = re.search(r'<table class="matrix">.*?</table>', page, re.DOTALL)
    assert matrix is not None
    cells = re.findall(r'title="(\d+) of (\d+) (\w+) taken for (\w+)"', matrix.group())
    assert {true for *_, true, _ in cells} == {"sea", "law", "code"}
    assert sum(int(count) for count, *_ in cells) == attribution["n"]
    right = sum(int(count) for count, _, true, taken in cells if true == taken)
    assert right / attribution["n"] == pytest.approx(attribution["accuracy"])


def test_a_second_run_does_nothing(finished):
    config, _ = finished
    before = state_hashes(config)
    assert all(summary["skipped"] for summary in run_stages(config, WITHOUT_INDEX))
    assert state_hashes(config) == before


def test_a_changed_setting_runs_only_what_depends_on_it(finished):
    config, _ = finished
    changed = config.model_copy(
        update={"detector": config.detector.model_copy(update={"epochs": 4})}
    )
    skipped = {s["stage"]: s["skipped"] for s in run_stages(changed, ("ingest", "embed"))}
    assert skipped == {"ingest": True, "embed": True}
    from copylens.store.stages import completed, upstream_hash

    assert completed(changed, "train", upstream_hash(changed, "train")) is None


def test_the_registry_holds_a_champion_without_pickle(finished):
    config, summaries = finished
    assert summaries[-1]["champion"] is True
    mlflow.set_tracking_uri(config.tracking.uri)
    folder = Path(mlflow.artifacts.download_artifacts("models:/copylens@champion"))
    ours = [p for p in folder.rglob("*") if p.is_file()]
    assert not [p for p in ours if p.suffix in {".pkl", ".pickle", ".pt", ".bin"}]
    model = mlflow.pyfunc.load_model("models:/copylens@champion")
    texts = ["The captain and the crew sail to the harbour. " * 6, "Bake the dough in the oven."]
    table = model.predict(pd.DataFrame({"text": texts}))
    assert table["top_sub_dataset"][0] == "sea"
    served = load_scorer("models:/copylens@champion", config.tracking.uri)
    assert served.identity.version == summaries[-1]["version"]
    verdict = served.verdicts(texts)[0]
    assert json.loads(table["verdict"][0])["shares"][0]["share"] == pytest.approx(
        verdict.shares[0].share, abs=1e-6
    )


def test_figures_are_in_mlflow(finished):
    config, summaries = finished
    client = mlflow.MlflowClient(config.tracking.uri)
    run = client.get_run(summaries[2]["mlflow_run"])
    report = report_of(config)
    assert run.data.metrics["attribution.accuracy"] == report["attribution"]["accuracy"]
    assert run.data.params["attributor.hidden"] == "16"
    curve = client.get_metric_history(run.info.run_id, "attention/val_loss")
    assert [point.step for point in curve] == list(range(1, len(curve) + 1))
    version = client.get_model_version_by_alias("copylens", "champion")
    assert version.tags["lineage.probe_weights"] == report["lineage"]["probe_weights"]


def test_a_failed_gate_keeps_the_champion(finished, tmp_path):
    config, _ = finished
    strict = config.tracking.model_copy(update={"gates": {"attribution.accuracy": "> 1.0"}})
    summary = next(run_stages(config.model_copy(update={"tracking": strict}), ("promote",)))
    assert summary["champion"] is False
    assert "attribution.accuracy" in summary["failed_gates"][0]
    client = mlflow.MlflowClient(config.tracking.uri)
    champion = client.get_model_version_by_alias("copylens", "champion").version
    assert str(champion) != summary["version"]


def test_two_workers_learn_what_one_does(finished, tmp_path):
    """Dropout included; the only difference left is the order of floating-point additions."""
    config, summaries = finished
    output = tmp_path / "run"
    output.mkdir()
    for part in ("corpus", "states"):
        shutil.copytree(Path(config.output) / part, output / part)
    for stage in ("ingest", "embed"):
        shutil.copy(Path(config.output) / f"{stage}.done.json", output)
    resources = config.resources.model_copy(update={"train_workers": 2})
    two = config.model_copy(update={"output": str(output), "resources": resources})
    trained, _ = run_stages(two, ("train", "evaluate"))
    for fit, end in summaries[2]["fits"].items():
        assert trained["fits"][fit]["val_loss"] == pytest.approx(end["val_loss"], rel=1e-3), fit
    one, other = report_of(config)["attribution"], report_of(two)["attribution"]
    assert one["ci95"][0] <= other["accuracy"] <= one["ci95"][1]


# A driver that sends itself SIGKILL as soon as two shards have come back.
KILLED_AFTER_TWO_SHARDS = """
import os, signal, sys
from copylens.config.load import load_config
from ray_jobs import embed
from ray_jobs.cluster import pool

def killed(config, actor, rows):
    for number, row in enumerate(over_shards(config, actor, rows), start=1):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row

over_shards, pool.over_shards = pool.over_shards, killed
embed.run(load_config(sys.argv[1]))
"""


def test_embed_resumes_after_a_kill_with_the_same_bytes(finished, lm_folder, tmp_path):
    config, _ = finished
    write_corpus(tmp_path)
    again = tiny_config(tmp_path, lm_folder("gpt_neox"))
    (tmp_path / "config.yaml").write_text(again.to_yaml())
    list(run_stages(again, ("ingest",)))
    command = [sys.executable, "-c", KILLED_AFTER_TWO_SHARDS, str(tmp_path / "config.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    driver = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=300)
    assert driver.returncode == -signal.SIGKILL, driver.stderr.decode()
    published = [task for task in plan(again) if task.done]
    assert len(published) >= 2
    assert storage.exists(storage.join(again.output, "embed.done.json")) is False
    summary = next(run_stages(again, ("embed",)))
    # A worker may have finished one more shard before it noticed that its driver had gone.
    assert len(published) <= summary["shards_resumed"] <= summary["shards"]
    assert list(state_hashes(again).values()) == list(state_hashes(config).values())


def test_who_cannot_say_unregistered_is_no_champion_unasked(finished):
    config = finished[0]
    unasked = config.tracking.model_copy(update={"gates": {}, "model_name": "unasked"})
    config = config.model_copy(update={"tracking": unasked})
    summary = next(run_stages(config, ("promote",)))
    assert not summary["champion"]
    assert "nothing can be called unregistered" in summary["failed_gates"][0]


def test_a_saved_scorer_scores_as_before(finished, tmp_path):
    config, _ = finished
    scorer = Scorer.load(storage.join(config.output, "model"))
    scorer.save(str(tmp_path / "copy"))
    copy = Scorer.load(str(tmp_path / "copy"))
    text = "The judge and the court ruling on the appeal. " * 5
    first, second = scorer.verdicts([text])[0], copy.verdicts([text])[0]
    assert first == second
    total = sum(s.share for s in first.shares) + first.unregistered
    assert total == pytest.approx(1.0)
    for item in first.timeline:
        assert sum(item.shares.values()) + item.unregistered == pytest.approx(1.0)
        assert 0 <= item.start < item.end <= len(text)
    for share in first.shares:
        assert 0 <= share.low <= share.share + 1e-9 <= share.high + 2e-9 <= 1 + 2e-9


def test_verdicts_do_not_depend_on_the_texts_beside_them(finished):
    config, _ = finished
    scorer = Scorer.load(storage.join(config.output, "model"))
    texts = ["The ship and the storm. " * 8, "An array of values in a loop. " * 20, "A claim."]
    together = scorer.verdicts(texts)
    for text, expected in zip(texts, together):
        alone = scorer.verdicts([text])[0]
        assert alone.ood_score == pytest.approx(expected.ood_score, rel=1e-3, abs=1e-3)
        for one, other in zip(alone.shares, expected.shares):
            assert one.share == pytest.approx(other.share, abs=1e-3)


def test_a_long_text_is_scored_whole(finished):
    config, _ = finished
    scorer = Scorer.load(storage.join(config.output, "model"))
    text = ("The captain of the ship and the crew. " * 40).rstrip()
    verdict = scorer.verdicts([text])[0]
    assert verdict.tokens > scorer.probe.lm.context
    assert verdict.truncated is False
    covered = np.array([(item.start, item.end) for item in verdict.timeline])
    assert (covered[0, 0], covered[-1, 1]) == (0, len(text))
    assert (covered[1:, 0] <= covered[:-1, 1] + 1).all()
