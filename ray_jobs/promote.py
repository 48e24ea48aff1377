"""Stage 5: a registered version; the alias `champion` moves to it only if the gates pass."""

import tempfile
from pathlib import Path
from typing import Any

from copylens.config.schema import RunConfig, fingerprint
from copylens.detector.calibration import unreachable
from copylens.evaluation.gates import failed_gates
from copylens.registry.tracker import Tracker
from copylens.store import storage
from copylens.store.stages import run_once, upstream_hash
from copylens.verdict.attachments import Attachments, attach, hashes, read_attachments
from copylens.verdict.bundle import FILES, SCORER_FILE
from ray_jobs.cluster.command import stage_main
from ray_jobs.train import trained

_EXAMPLE = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


def run(config: RunConfig) -> dict[str, Any]:
    """Registers the trained scorer and, if the gates pass, makes it the champion.

    An audit or an index made since the last time gives a new version: they are part of it.
    """
    inputs = upstream_hash(config, "promote")
    scorer = storage.read_json(storage.join(config.output, "model", SCORER_FILE))
    attachments = read_attachments(config.output, scorer["lineage"])
    if attachments:
        inputs = fingerprint(inputs, hashes(attachments))
    return run_once(config, "promote", inputs, lambda: _work(config, attachments))


def _work(config: RunConfig, attachments: Attachments) -> tuple[str, dict[str, Any]]:
    report = storage.read_json(storage.join(config.output, "report.json"))
    failed = failed_gates(report, config.tracking.gates)
    # Whoever sets a gate on the smallest level has decided on it.
    if "conformal.smallest_p" not in config.tracking.gates:
        conformal = report["conformal"]
        cannot = unreachable(conformal["alpha"], conformal["smallest_p"])
        failed += [] if cannot is None else [cannot]
    tracker, name = Tracker(config), config.tracking.model_name
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        for file in FILES:
            data = storage.read_bytes(storage.join(config.output, "model", file))
            (bundle / file).write_bytes(data)
        meta = str(bundle / SCORER_FILE)
        storage.write_json(meta, attach(storage.read_json(meta), attachments))
        lineage = report["lineage"] | hashes(attachments)
        version = tracker.register(
            trained(config)["mlflow_run"], name, str(bundle), _EXAMPLE, lineage
        )
    before = None if failed else tracker.move_alias(name, version)
    summary = {
        "model": name,
        "version": version,
        "champion": not failed,
        "previous": before,
        "failed_gates": failed,
        "attached": sorted(attachments),
    }
    return version, summary


def roll_back(config: RunConfig) -> dict[str, Any]:
    """Swaps champion and previous; services that follow the alias load the other version."""
    name = config.tracking.model_name
    champion, before = Tracker(config).roll_back(name)
    return {"stage": "rollback", "model": name, "champion": champion, "previous": before}


if __name__ == "__main__":
    stage_main(__doc__, run, tracks=True)
