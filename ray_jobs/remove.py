"""Takedown of a sub-dataset from a run; the smaller model is evaluated, gated and registered."""

import time
from functools import partial
from typing import Any

from copylens.config.schema import RunConfig
from copylens.registry.tracker import Tracker
from copylens.store.stages import complete
from copylens.takedown import remove
from ray_jobs import evaluate, promote
from ray_jobs.reading import read_texts


def run(config: RunConfig, sub_dataset: str) -> dict[str, Any]:
    """Removes, evaluates, promotes.

    The parent version stays in the registry, but `previous` no longer leads to it.
    """
    start = time.perf_counter()
    tracker = Tracker(config)
    removal = remove(config, sub_dataset, partial(read_texts, config))
    seconds = time.perf_counter() - start
    run_id = tracker.log_training(removal.config, {}, seconds, removal.lineage)
    summary = {"fits": {}, "seconds": round(seconds, 1), "mlflow_run": run_id}
    complete(config, "train", removal.inputs, removal.model_hash, summary)
    evaluate.run(removal.config)
    promoted = promote.run(removal.config)
    if promoted["champion"]:
        tracker.forget_previous(config.tracking.model_name)
    kept = ("model", "version", "champion", "failed_gates")
    return {
        "stage": "remove",
        "skipped": False,
        "passages_removed": removal.passages,
        **{key: promoted[key] for key in kept},
        "parent": promoted["previous"],
        "seconds": round(time.perf_counter() - start, 1),
    }
