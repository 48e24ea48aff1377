"""Verbs for rights holders: statements, takedowns, rescoring."""

import json
from typing import Annotated, Any

import typer

from copylens.cli import display
from copylens.cli.app import app
from copylens.cli.options import AsJson, Config, Model, Overrides, ProbePath, Tracking


@app.command()
def statement(
    log: Annotated[
        str, typer.Option(help="Verdicts: a folder that score wrote, or a .jsonl[.gz]; any URI.")
    ],
    pool: Annotated[str, typer.Option(help="The amount to split, e.g. 100000 or 99999.95.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code, e.g. EUR.")],
    fee: Annotated[
        str | None,
        typer.Option(
            help="What uncertain payment shrinks toward: equal, or a YAML of parts; "
            "default: payment follows the shares alone."
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="HOLDER", help="Licensed otherwise: listed, not paid. Repeatable."),
    ] = None,
    period: Annotated[str, typer.Option(help="What the log covers; printed as it is.")] = "",
    model: Annotated[
        str | None, typer.Option(help="The version that judged the log; default: as it says.")
    ] = None,
    tracking_uri: Tracking = None,
    output: Annotated[
        str | None, typer.Option(help="Folder or URI for statement.json, .csv and .html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A log of verdicts -> who is owed what, on what ground, how sure; to the cent."""
    from copylens.settlement import Terms, make_statement, read_log
    from copylens.settlement.pages import write_statement
    from copylens.settlement.payment import read_contract
    from copylens.settlement.statement import EQUAL

    agreed = fee and (EQUAL if fee == EQUAL else read_contract(fee))
    terms = Terms(pool, currency, agreed or None, tuple(allow or ()), period)
    verdicts = read_log(log)
    made = make_statement(verdicts, _scoring_version(verdicts.model, model, tracking_uri), terms)
    if output is not None:
        write_statement(output, made)
    if as_json:
        typer.echo(json.dumps(made, sort_keys=True, ensure_ascii=False))
    else:
        display.statement(made, output)


@app.command()
def remove(
    sub_dataset: Annotated[str, typer.Argument(help="The registered sub-dataset to take down.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Takedown: out of corpus, states, index and model; a new version, if the gates pass champion.

    Killed midway, it goes on where it stopped. Verdicts: `copylens rescore`.
    """
    from copylens.config.load import load_config
    from ray_jobs.remove import run

    display.summary(run(load_config(config, overrides or []), sub_dataset), as_json)


@app.command()
def rescore(
    log: Annotated[str, typer.Option(help="Verdicts of the earlier version; as for statement.")],
    since: Annotated[str, typer.Option(help="The version that judged them.")],
    output: Annotated[str, typer.Option(help="Another folder, for the verdicts of the new one.")],
    texts: Annotated[
        str | None, typer.Option(help="The texts of the log, where any verdict could change.")
    ] = None,
    model: Model = "models:/copylens@champion",
    tracking_uri: Tracking = None,
    probe: ProbePath = None,
    least_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="A removed share below it changes nothing.")
    ] = 0.01,
    as_json: AsJson = False,
) -> None:
    """After a takedown: scores again what could change, carries the rest over.

    Killed midway, it goes on where it stopped. On a cluster: `python -m ray_jobs.rescore`.
    """
    from copylens.registry.server import tracking_uri as registry_at
    from copylens.takedown.relogging import rescore as again
    from ray_jobs.rescore import find_change

    change, scorer = find_change(model, since, registry_at(tracking_uri), probe, least_share)
    counts = again(log, output, change, texts, lambda t, wanted: scorer.verdicts(t, None, wanted))
    summary = {"stage": "rescore", "skipped": False, **counts, "output": output}
    display.summary(summary, as_json)


def _scoring_version(judge: dict[str, Any], model: str | None, tracking_uri: str | None) -> Any:
    """The version that scored the log: the one the user names, else the one the log names."""
    from copylens.errors import SettlementError
    from copylens.registry.reader import bundle_folder
    from copylens.registry.server import tracking_uri as registry_at
    from copylens.settlement import read_scoring_version

    if model is None and judge["version"] == "unregistered":
        raise SettlementError(
            "the log was judged by a scorer that is in no registry; name its folder with --model"
        )
    uri = model or f"models:/{judge['name']}/{judge['version']}"
    folder, name, version = bundle_folder(uri, registry_at(tracking_uri))
    # A folder does not know its version; that it has the log's sub-datasets is looked at later.
    if uri.startswith("models:/") and (name, version) != (judge["name"], judge["version"]):
        raise SettlementError(
            f"the log was judged by {judge['name']} version {judge['version']}, not by '{uri}'"
        )
    return read_scoring_version(folder)
