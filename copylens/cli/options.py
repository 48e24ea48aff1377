"""Options that several verbs share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file; without it all defaults hold.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Overrides one key; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, for programs.")]
Model = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a saved scorer's folder.")
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow; default: $MLFLOW_TRACKING_URI, else copylens.db"),
]
ProbePath = Annotated[
    str | None, typer.Option("--probe", help="Where the LM lies now, if it has moved.")
]
