"""`copylens <verb>`: the only room that may reach into ray_jobs and serve, inside a verb."""

import os
import warnings

import typer

from copylens import __version__
from copylens.cli import audit, rights, stages, verdicts
from copylens.cli.app import app
from copylens.cli.stopping import sigterm_exits
from copylens.errors import CopyLensError

__all__ = ["app", "audit", "main", "rights", "stages", "verdicts"]


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def _quiet_libraries() -> None:
    """Libraries print progress bars and warnings about themselves unless told not to."""
    # Threads that wait by spinning take a core from whoever else computes on this machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    warnings.filterwarnings("ignore")


def main() -> None:
    """Entry point. A user's mistake is one line on stderr and exit code 2.

    SIGTERM and Ctrl-C are one line too, with 143 and 130.
    """
    _quiet_libraries()
    try:
        with sigterm_exits():
            app()
    except CopyLensError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
