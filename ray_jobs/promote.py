"""Stage 5: a registered version; the alias `champion` moves to it only if the gates pass."""

import tempfile
from pathlib import Path
from typing import Any

from copylens import storage
from copylens.bundle import FILES
from copylens.config import RunConfig
from copylens.evaluation.gates import failed_gates
from copylens.stages import run_once, upstream_hash
from ray_jobs.command import stage_main
from ray_jobs.tracking import Tracker
from ray_jobs.train import trained

_EXAMPLE = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


def run(config: RunConfig) -> dict[str, Any]:
    """Registers the trained scorer and, gates permitting, makes it the champion."""
    inputs = upstream_hash(config, "promote")
    return run_once(config, "promote", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    report = storage.read_json(storage.join(config.output, "report.json"))
    failed = failed_gates(report, config.tracking.gates)
    tracker, name = Tracker(config), config.tracking.model_name
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        for file in FILES:
            data = storage.read_bytes(storage.join(config.output, "model", file))
            (bundle / file).write_bytes(data)
        version = tracker.register(
            trained(config)["mlflow_run"], name, str(bundle), _EXAMPLE, report["lineage"]
        )
    before = None if failed else tracker.move_alias(name, version)
    summary = {
        "model": name,
        "version": version,
        "champion": not failed,
        "previous": before,
        "failed_gates": failed,
    }
    return version, summary


def roll_back(config: RunConfig) -> dict[str, Any]:
    """Swaps champion and previous; what the service follows changes at once."""
    name = config.tracking.model_name
    champion, before = Tracker(config).roll_back(name)
    return {"stage": "rollback", "model": name, "champion": champion, "previous": before}


if __name__ == "__main__":
    stage_main(__doc__, run, tracks=True)
