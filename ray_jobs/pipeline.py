"""The stages one after the other: in one process, or as one job."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from copylens.config.schema import RunConfig
from copylens.store.stages import stages_of
from ray_jobs.cluster.command import stages_main
from ray_jobs.cluster.session import user_errors


def run_stages(config: RunConfig, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Runs the named stages and yields each one's summary as soon as it is done.

    A stage that has nothing to do starts no cluster. The stage `x` is the module `ray_jobs.x`,
    imported when its turn comes: only some stages need torch, Ray or MLflow, and each of these
    takes seconds to import.
    """
    if "embed" in names:
        from copylens.probe.loading.identity import lm_hash

        # Before anything is written: a run whose LM is missing would stop at its second stage.
        lm_hash(config.probe)
    for name in names:
        with user_errors():
            summary: dict[str, Any] = import_module(f"ray_jobs.{name}").run(config)
            if name == "ingest" and "evaluate" in names:
                from copylens.evaluation.studies.runs import check_settings

                # As soon as the names are known, not after everything is trained.
                check_settings(config)
            yield summary


if __name__ == "__main__":
    stages_main(
        "All stages in order; finished ones are skipped.",
        lambda config: run_stages(config, stages_of(config)),
        tracks=True,
    )
