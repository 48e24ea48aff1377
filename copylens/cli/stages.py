"""The stages of a run, alone, together, or as a job on a cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from copylens.cli import display
from copylens.cli.app import app
from copylens.cli.options import AsJson, Config, Overrides

_STAGES = {
    "ingest": "Sources -> checked, deduplicated, split passages. Bad rows go to quarantine.jsonl.",
    "embed": "Passages -> states of the LM. Killed midway, it goes on where it stopped.",
    "train": "States -> attributor and detector, calibrated; curves go to MLflow.",
    "evaluate": "The scorer beside every baseline on the test splits: report.json and report.html.",
    "index": "Registered passages -> the evidence of verdicts; "
    "only what is new or changed is built.",
    "promote": "Registers the scorer; `champion` moves to it if the config's gates pass.",
}


def _verb(stage: str) -> Callable[..., None]:
    def verb(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
        _run(config, overrides, as_json, stage)

    return verb


for _stage, _help in _STAGES.items():
    app.command(_stage, help=_help)(_verb(_stage))


@app.command()
def rollback(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """The version that was champion before is champion again."""
    from copylens.config.load import load_config
    from ray_jobs.promote import roll_back

    summary = roll_back(load_config(config, overrides or []))
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        typer.echo(
            f"{summary['model']}: version {summary['champion']} is champion again, "
            f"version {summary['previous']} is kept as previous"
        )


@app.command()
def run(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Ingest, embed, index, train, evaluate, promote, in order. Finished ones are skipped."""
    _run(config, overrides, as_json)


@app.command()
def submit(
    job: Annotated[
        str,
        typer.Argument(
            help="ingest, embed, index, train, evaluate, promote, audit, score, rescore, or run."
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="After --: more for the job, such as score's --input X --output Y."),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    address: Annotated[
        str | None,
        typer.Option(help="The cluster, http://HOST:8265; default: $RAY_API_SERVER_ADDRESS."),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME",
            help="Gives the job this variable; it shows in the dashboard. Repeatable.",
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return once it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """A stage, or all, as a job on a Ray cluster: streams its log, ends with its exit code."""
    from copylens.config.load import load_config
    from ray_jobs.cluster.submit import submit as send
    from ray_jobs.cluster.submit_view import show

    settings = load_config(config, overrides or [], as_written=True)
    sent = send(job, settings, words or [], address, variables or [])
    raise typer.Exit(show(sent, wait=not no_wait, as_json=as_json))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    small: Annotated[bool, typer.Option(help="A few minutes less, rougher figures.")] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Trains a small LM on them instead, and audits it.")
    ] = False,
) -> None:
    """The whole pipeline on installed Python packages, with an LM that `make setup` installs."""
    if audit:
        from ray_jobs.demo.audited import run_audit

        run_audit(output / "audited", small)
        return
    from ray_jobs.demo.run import run_demo

    run_demo(output, small)


def _run(config: Path | None, overrides: list[str] | None, as_json: bool, *stages: str) -> None:
    """These stages; without any all of a run."""
    from copylens.config.load import load_config

    settings = load_config(config, overrides or [])
    from copylens.store.stages import stages_of
    from ray_jobs.pipeline import run_stages

    for summary in run_stages(settings, stages or stages_of(settings)):
        display.summary(summary, as_json)
