"""`python -m ray_jobs.<stage> --config X [--set key=value ...]`: the same for every stage."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from copylens.config import RunConfig
from copylens.config_files import load_config
from copylens.errors import CopyLensError
from ray_jobs.session import user_errors

StageRun = Callable[[RunConfig], dict[str, Any]]


def stage_main(description: str | None, run: StageRun) -> None:
    """Parses the command line, runs the stage, prints its summary as one line of JSON.

    Exits with 2 after a user's mistake (one line on stderr) and with 1 after a crash.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", help="YAML file; without it all defaults hold")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="overrides one key"
    )
    arguments = parser.parse_args()
    try:
        config = load_config(arguments.config, arguments.set)
        with user_errors():
            summary = run(config)
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(json.dumps(summary))
