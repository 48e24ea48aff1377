"""`copylens audit`: membership tests."""

import json
from pathlib import Path
from typing import Annotated

import typer

from copylens.cli import display
from copylens.cli.app import app
from copylens.cli.options import AsJson, Config, Overrides


@app.command()
def audit(
    config: Config = None,
    sub_datasets: Annotated[
        list[str] | None,
        typer.Option(
            "--sub-dataset", metavar="NAME", help="Sub-datasets to audit; default: all. Repeatable."
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE", help="Passages like them that the LM has not read; repeatable."
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Was the LM trained on a sub-dataset? Tests, p-values, and a sentence for each."""
    from copylens.config.load import load_config
    from copylens.store.storage import read_json
    from ray_jobs.audit import run

    chosen = [f"audit.sub_datasets={json.dumps(sub_datasets)}"] if sub_datasets else []
    chosen += [f"audit.against={json.dumps([*map(_absolute, against)])}"] if against else []
    summary = run(load_config(config, [*(overrides or []), *chosen]))
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        display.stage({key: summary[key] for key in summary if key != "findings"})
        display.audit(read_json(summary["audit"]))


def _absolute(source: str) -> str:
    """Workers run in folders of their own."""
    return source if "://" in source else str(Path(source).absolute())
