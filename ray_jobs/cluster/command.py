"""`python -m ray_jobs.<stage> --config X [--set key=value ...]`: the same for every stage."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from ray_jobs.cluster.job_paths import job_config, require_absolute_path, submitted
from ray_jobs.cluster.session import user_errors

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
    arguments = config_parser(description).parse_args()
    with _one_line_errors():
        config = job_config(arguments.config, arguments.set, tracks)
        with user_errors():
            for summary in run(config):
                if summary["stage"] in _TRACKED and not summary["skipped"]:
                    from copylens.registry.tracker import run_link  # slow to import: MLflow

                    print(f"mlflow: {run_link(config)}")
                print(json.dumps(summary), flush=True)


def log_main(words: argparse.Namespace, paths: Sequence[str], tracks: bool, run: StageRun) -> None:
    """Runs a job over a log, and prints its summary as one line of JSON; exits as `stages_main`.

    Args:
        words: parsed by a `config_parser` with more arguments.
        paths: names of those arguments that are paths or URIs.
    """
    with _one_line_errors():
        config = job_config(words.config, words.set, tracks)
        for key in paths if submitted() else ():
            if path := getattr(words, key):
                require_absolute_path(f"--{key}", path)
        print(json.dumps(run(config)))


def config_parser(description: str | None) -> argparse.ArgumentParser:
    """What every job's command line has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", help="YAML file; without it all defaults hold")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="overrides one key"
    )
    return parser


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """A user's mistake is one line on stderr, and exit code 2."""
    try:
        yield
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
