"""Membership audit: was the LM trained on a sub-dataset? Passages -> token scores -> audit.json."""

import sys
import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any

import torch

from copylens.audit.findings import foregone
from copylens.audit.passages import audit_passages, audited
from copylens.audit.reading import Reader, ReadTask, plan_readings
from copylens.audit.stage import audit_inputs, audit_uri, make_audit
from copylens.config.load import build_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.evaluation.report.audit_section import insert_audit
from copylens.store import storage
from copylens.store.stages import run_once, upstream_hash
from ray_jobs.cluster.command import stage_main
from ray_jobs.cluster.pool import ShardActor
from ray_jobs.cluster.tally import adder, read_through


class ReadActor(ShardActor):
    """One worker: loads the LM at its first sub-dataset, publishes the token scores of each."""

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def work(self, values: dict[str, Any]) -> int:
        """Scores a sub-dataset's passages; returns how many."""
        if self._reader is None:
            config = build_config(values["config"])
            torch.set_num_threads(config.resources.threads)
            self._reader = Reader(config, adder(values.get("tally")))
        task = ReadTask(**values["task"])
        self._reader(task)
        return task.passages


def run(config: RunConfig) -> dict[str, Any]:
    """Audits the config's sub-datasets; published token scores are reused."""
    inputs = audit_inputs(config, upstream_hash(config, "audit"))
    return run_once(config, "audit", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    items = audit_passages(config)
    tasks = plan_readings(config, items)
    pending = [task for task in tasks if not task.done]
    if pending:
        _tell_foregone(foregone(items, audited(config), config.audit))
    _read(config, pending)
    audit = make_audit(config, items, tasks)
    storage.write_json(audit_uri(config), audit)
    _show_in_report(config, audit)
    findings = defaultdict(list)
    for name, entry in audit["sub_datasets"].items():
        findings[entry["finding"]].append(name)
    summary = {
        "findings": dict(findings),
        "audit": audit_uri(config),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return fingerprint(audit), summary


def _tell_foregone(reasons: dict[str, str]) -> None:
    """Before anything is read: which answers are known already; one line a reason."""
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, other in reasons.items() if other == reason)
        print(f"audit: of {names} the answer can only be 'cannot tell': {reason}", file=sys.stderr)


def _read(config: RunConfig, pending: list[ReadTask]) -> None:
    settings = config.model_dump(mode="json")
    tasks = [{"task": asdict(task), "config": settings} for task in pending]
    read_through(config, ReadActor, tasks, "audit", sum(task.characters for task in pending))


def _show_in_report(config: RunConfig, audit: dict[str, Any]) -> None:
    """A report that is there already shows the new findings."""
    uri = storage.join(config.output, "report.html")
    if storage.exists(uri):
        page = storage.read_bytes(uri).decode()
        storage.write_bytes(uri, insert_audit(page, audit).encode())


if __name__ == "__main__":
    stage_main(__doc__, run)
