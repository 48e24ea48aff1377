"""`copylens <verb>`: the only room that may reach into ray_jobs and serve, inside a verb."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from copylens import __version__, display
from copylens.cli_options import AsJson, Config, Model, Overrides, ProbePath, Tracking
from copylens.errors import CopyLensError

app = typer.Typer(
    help="Says whether a text an LLM wrote draws on registered sub-datasets of its training "
    "corpus, on which, how much, and how sure it is.",
    epilog="Start with `copylens demo`. Then bring your own corpus: `copylens run --config X`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

keys_app = typer.Typer(help="API keys of the service.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@app.command()
def ingest(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Sources -> checked, deduplicated, split passages. Bad rows go to quarantine.jsonl."""
    _stages(("ingest",), config, overrides, as_json)


@app.command()
def embed(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Passages -> states of the LM. Killed midway, it goes on where it stopped."""
    _stages(("embed",), config, overrides, as_json)


@app.command()
def train(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """States -> attributor and detector, calibrated; curves go to MLflow."""
    _stages(("train",), config, overrides, as_json)


@app.command()
def evaluate(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """The scorer beside every baseline on the test splits: report.json and report.html."""
    _stages(("evaluate",), config, overrides, as_json)


@app.command()
def promote(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Registers the scorer; `champion` moves to it if the config's gates pass."""
    _stages(("promote",), config, overrides, as_json)


@app.command()
def rollback(config: Config = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """The version that was champion before is champion again."""
    from copylens.config_files import load_config
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
    """All stages in order: ingest, embed, train, evaluate, promote. Finished ones are skipped."""
    from copylens.stages import STAGES

    _stages(STAGES, config, overrides, as_json)


@app.command()
def submit(
    job: Annotated[
        str, typer.Argument(help="ingest, embed, train, evaluate, promote, score, or run for all.")
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
    from copylens.config_files import read_config
    from ray_jobs.submit import submit as send
    from ray_jobs.submit_view import show

    sent = send(job, read_config(config, overrides or []), words or [], address, variables or [])
    raise typer.Exit(show(sent, wait=not no_wait, as_json=as_json))


@app.command()
def score(
    source: Annotated[
        str, typer.Argument(help="A text file, .jsonl[.gz] with a `text` a line, or - for a pipe.")
    ] = "-",
    model: Model = "models:/copylens@champion",
    tracking_uri: Tracking = None,
    probe: ProbePath = None,
    alpha: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="False-alarm level; default: config.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Texts -> verdicts: a table on a terminal, JSON lines elsewhere or with --json."""
    from copylens.textio import read_texts

    texts = read_texts(source)
    scorer = _scorer(model, tracking_uri, probe)
    lines = as_json or not sys.stdout.isatty()
    for text, verdict in zip(texts, scorer.verdicts(texts, alpha)):
        if lines:
            typer.echo(json.dumps(verdict.to_dict(), ensure_ascii=False))
        else:
            display.verdict(text, verdict)


@app.command()
def generate(
    prompt: Annotated[str, typer.Option(help="What the LM goes on from.")],
    model: Model = "models:/copylens@champion",
    tracking_uri: Tracking = None,
    probe: ProbePath = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="How much it writes.")] = 200,
    every: Annotated[int, typer.Option(min=1, help="Tokens before the first verdict.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0: the likeliest word.")] = 0.8,
    seed: int = 0,
    stop: Annotated[
        list[str] | None, typer.Option(help="Ends the text where this would follow; repeatable.")
    ] = None,
    block: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Ends it once flagged as this sub-dataset; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The probe LM writes; flags appear while it does."""
    from copylens.flags import block_sources, known_sources
    from copylens.live import generate as write

    scorer = _scorer(model, tracking_uri, probe)
    policy = block_sources(known_sources(block, scorer.rights)) if block else None
    options = (max_tokens, every, temperature, seed)
    for step in write(scorer, prompt, *options, stop=stop or (), policy=policy):
        if not as_json:
            display.live(step)
        elif step.verdict is not None:
            typer.echo(json.dumps(step.to_dict(), ensure_ascii=False))


@app.command()
def serve(
    model: Model = "models:/copylens@champion",
    host: Annotated[str, typer.Option(help="0.0.0.0: all interfaces; needs --keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    tracking_uri: Tracking = None,
    probe: ProbePath = None,
    policy: Annotated[
        Path | None, typer.Option(help="What to allow, flag, block; see configs/policy.yaml.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys, made with `copylens keys new`.")
    ] = None,
    replicas_min: Annotated[int, typer.Option(min=1, help="Scorers at rest.")] = 1,
    replicas_max: Annotated[int, typer.Option(min=1, help="Scorers under load.")] = 1,
) -> None:
    """The scorer over HTTP; follows the alias. Ctrl-C answers what is under way and stops."""
    from serve.run import local_args
    from serve.run import serve as run_service

    args = local_args(
        host,
        model=model,
        tracking_uri=tracking_uri,
        probe=probe,
        policy=policy,
        keys=keys,
        replicas_min=replicas_min,
        replicas_max=max(replicas_min, replicas_max),
    )
    run_service(args, host, port)


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Who will hold it.")],
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute; default: the service's.")
    ] = None,
) -> None:
    """Makes an API key: shown once on stderr; its line for the keys file goes to stdout."""
    from serve.auth import new_key as make

    key, line = make(name, per_minute)
    typer.echo(f"{name}'s key, shown only now: {key}", err=True)
    typer.echo(line)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    small: Annotated[bool, typer.Option(help="A few minutes less, rougher figures.")] = False,
) -> None:
    """The whole pipeline on installed Python packages, with an LM trained on the spot."""
    from ray_jobs.demo import run_demo

    run_demo(output, small)


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def _stages(
    names: tuple[str, ...], config: Path | None, overrides: list[str] | None, as_json: bool
) -> None:
    from copylens.config_files import load_config

    settings = load_config(config, overrides or [])
    from ray_jobs.pipeline import run_stages

    for summary in run_stages(settings, names):
        if as_json:
            typer.echo(json.dumps(summary))
        else:
            display.stage(summary)


def _scorer(model: str, tracking_uri: str | None, probe: str | None) -> Any:
    from copylens.config import RunConfig
    from ray_jobs.tracking import tracking_uri as default_uri
    from serve.registry import load_scorer

    return load_scorer(model, tracking_uri or default_uri(RunConfig()), probe)


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """The libraries' news about themselves is not the user's concern."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    warnings.filterwarnings("ignore")
    yield


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    try:
        with _calm():
            app()
    except CopyLensError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
