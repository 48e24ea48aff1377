"""Verbs that score texts: from files, during generation, over HTTP."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from copylens.cli import display
from copylens.cli.app import app
from copylens.cli.options import AsJson, Model, ProbePath, Tracking

keys_app = typer.Typer(help="API keys of the service.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


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
    evidence: Annotated[
        bool | None,
        typer.Option(
            "--evidence/--no-evidence",
            help="Spans and nearest passages; default: where the model has an index.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Texts -> verdicts: a table on a terminal, JSON lines elsewhere or with --json."""
    from copylens.verdict.inputs import read_rows

    rows = read_rows(source)
    scorer = _scorer(model, tracking_uri, probe)
    lines = as_json or not sys.stdout.isatty()
    if evidence:
        scorer.evidence.require()
    found = scorer.verdicts([row.text for row in rows], alpha, evidence is not False)
    for row, verdict in zip(rows, found):
        named = verdict.named(row.id, row.document)
        if lines:
            typer.echo(json.dumps(named.to_dict(), ensure_ascii=False))
        else:
            display.verdict(row.text, named)


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
    from copylens.generation.flags import block_sources, known_sources
    from copylens.generation.live import generate as write

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
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Prometheus metrics, at /metrics there.")
    ] = None,
    replicas_min: Annotated[int, typer.Option(min=1, help="Scorers at rest.")] = 1,
    replicas_max: Annotated[int, typer.Option(min=1, help="Scorers under load.")] = 1,
) -> None:
    """The scorer over HTTP; follows the alias. Ctrl-C answers what is under way and stops."""
    from serve.ops.run import local_args
    from serve.ops.run import serve as run_service

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
    run_service(args, host, port, metrics_port)


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Who will hold it.")],
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute; default: the service's.")
    ] = None,
) -> None:
    """Makes an API key: shown once on stderr; its line for the keys file goes to stdout."""
    from serve.http.auth import new_key as make

    key, line = make(name, per_minute)
    typer.echo(f"{name}'s key, shown only now: {key}", err=True)
    typer.echo(line)


def _scorer(model: str, tracking_uri: str | None, probe: str | None) -> Any:
    from copylens.registry.reader import load_scorer
    from copylens.registry.server import tracking_uri as registry_at

    return load_scorer(model, registry_at(tracking_uri), probe)
