"""Stage 4: the scorer and every baseline on the test splits -> report.json and report.html."""

import time
from typing import Any

from copylens.config.schema import RunConfig, fingerprint
from copylens.detector.calibration import unreachable
from copylens.errors import ModelError
from copylens.evaluation.measure import measure
from copylens.evaluation.report.html import render_report
from copylens.evaluation.studies.runs import check_settings
from copylens.progress import progress
from copylens.registry.tracker import Tracker
from copylens.store import storage
from copylens.store.stages import run_once, upstream_hash
from copylens.verdict.attachments import read_attachments
from copylens.verdict.scorer import Scorer
from ray_jobs.cluster.command import stage_main
from ray_jobs.train import trained


def run(config: RunConfig) -> dict[str, Any]:
    """Measures, writes both report files, and adds the figures to the training's MLflow run."""
    inputs = upstream_hash(config, "evaluate")
    return run_once(config, "evaluate", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    check_settings(config)
    tracker = Tracker(config)
    scorer = Scorer.load(storage.join(config.output, "model"))
    with progress("evaluate", 0, "texts") as meter:
        report, figures = measure(config, scorer, meter)
    storage.write_json(storage.join(config.output, "report.json"), report)
    page = render_report(report, figures, _audit(config, scorer))
    storage.write_bytes(storage.join(config.output, "report.html"), page.encode())
    tracker.log_report(trained(config)["mlflow_run"], report)
    summary = {
        "accuracy": report["attribution"]["accuracy"],
        "ci95": report["attribution"]["ci95"],
        "best_text": report["baselines"]["best_text"],
        "ood_auroc": report["ood"]["auroc"],
        "false_alarms": report["conformal"]["false_alarm_rate"],
        "power": report["ood"]["power"],
        "coverage": report["shares"]["coverage"],
        "cannot": unreachable(config.calibration.alpha, report["conformal"]["smallest_p"]),
        "study_seconds": report["cost"]["study_seconds"],
        "report": storage.join(config.output, "report.html"),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return fingerprint(report), summary


def _audit(config: RunConfig, scorer: Scorer) -> dict[str, Any] | None:
    """The audit of this corpus and LM; promote refuses a stale one with an error."""
    try:
        return read_attachments(config.output, scorer.lineage, ("audit",)).get("audit")
    except ModelError:
        return None


if __name__ == "__main__":
    stage_main(__doc__, run, tracks=True)
