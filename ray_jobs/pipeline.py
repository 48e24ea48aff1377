"""The stages one after the other: in one process, or as one job."""

from collections.abc import Iterator, Sequence
from typing import Any

from copylens.config import RunConfig
from copylens.evaluation.studies.runs import check_settings
from copylens.probe.lm import weight_hash
from copylens.stages import STAGES
from ray_jobs import embed, evaluate, ingest, promote, train
from ray_jobs.command import stages_main
from ray_jobs.session import user_errors

_RUNS = {
    "ingest": ingest.run,
    "embed": embed.run,
    "train": train.run,
    "evaluate": evaluate.run,
    "promote": promote.run,
}


def run_stages(config: RunConfig, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Runs the named stages and yields each one's summary as soon as it is done.

    A stage that has nothing to do starts no cluster.
    """
    if "embed" in names:
        # Before anything is written: a run whose LM is missing would stop at its second stage.
        weight_hash(config.probe)
    for name in names:
        with user_errors():
            summary = _RUNS[name](config)
            if name == "ingest" and "evaluate" in names:
                # As soon as the names are known, not after everything is trained.
                check_settings(config)
            yield summary


if __name__ == "__main__":
    stages_main(
        "All stages in order; finished ones are skipped.",
        lambda config: run_stages(config, STAGES),
        tracks=True,
    )
