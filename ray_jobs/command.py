"""`python -m ray_jobs.<stage> --config X [--set key=value ...]`: the same for every stage."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from copylens.config import RunConfig
from copylens.errors import CopyLensError
from ray_jobs.places import job_config
from ray_jobs.session import user_errors
from ray_jobs.tracking import run_link

_TRACKED = ("train", "evaluate", "promote")

StageRun = Callable[[RunConfig], dict[str, Any]]
StageRuns = Callable[[RunConfig], Iterable[dict[str, Any]]]


def stage_main(description: str | None, run: StageRun, tracks: bool = False) -> None:
    """`stages_main` of a single stage."""
    stages_main(description, lambda config: [run(config)], tracks)


def stages_main(description: str | None, run: StageRuns, tracks: bool) -> None:
    """Parses the command line, runs, prints each stage's summary as one line of JSON.

    A stage that wrote to MLflow (`tracks` says that some do) names its run in the line before.
    Exits with 2 after a user's mistake (one line on stderr) and with 1 after a crash.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", help="YAML file; without it all defaults hold")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="overrides one key"
    )
    arguments = parser.parse_args()
    try:
        config = job_config(arguments.config, arguments.set, tracks)
        with user_errors():
            for summary in run(config):
                if summary["stage"] in _TRACKED and not summary["skipped"]:
                    print(f"mlflow: {run_link(config)}")
                print(json.dumps(summary), flush=True)
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
