"""The evidence index: registered passages -> spans and nearest passages for verdicts, by parts."""

import json
import time
from dataclasses import asdict
from typing import Any

from copylens.config import RunConfig
from copylens.corpus import load_manifest
from copylens.evidence.building import (
    PartTask,
    build_task,
    evidence_uri,
    plan_index,
    publish_index,
    registered_passages,
    up_to_date,
)
from copylens.progress import progress
from ray_jobs.command import stage_main
from ray_jobs.pool import ShardActor, over_shards
from ray_jobs.session import ray_session, user_errors


class IndexActor(ShardActor):
    """One worker: builds a part at a time, each published as soon as it is complete."""

    def work(self, values: dict[str, Any]) -> int:
        """Builds a part; returns its number of passages."""
        task = PartTask(**values)
        build_task(task)
        return task.passages


def run(config: RunConfig) -> dict[str, Any]:
    """Builds what is new or changed since the last time, and publishes `<output>/evidence`."""
    start = time.perf_counter()
    folder, corpus = evidence_uri(config.output), load_manifest(config.output).hash
    size = config.evidence.part_passages
    done = up_to_date(folder, corpus, size)
    if done is not None:
        return {"stage": "index", "skipped": True, **done.summary()}
    tasks = plan_index(folder, registered_passages(config.output), size)
    pending = [task for task in tasks if not task.done]
    rows = [{"task": json.dumps(asdict(task))} for task in pending]
    if rows:
        total = sum(task.passages for task in pending)
        with ray_session(config), user_errors(), progress("index", total, "passages") as advance:
            for row in over_shards(config, IndexActor, rows):
                advance(int(row["done"]))
    manifest = publish_index(folder, tasks, corpus, size)
    return {
        "stage": "index",
        "skipped": False,
        **manifest.summary(),
        "parts": len(tasks),
        "parts_resumed": len(tasks) - len(pending),
        "seconds": round(time.perf_counter() - start, 1),
    }


if __name__ == "__main__":
    stage_main(__doc__, run)
