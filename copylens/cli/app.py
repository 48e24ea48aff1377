"""The command line itself: its verbs are added by the rooms beside this one."""

import typer

from copylens.cli.stopping import InterruptibleGroup

app = typer.Typer(
    cls=InterruptibleGroup,
    help="Says whether a text an LLM wrote draws on registered sub-datasets of its training "
    "corpus, on which, how much, and how sure it is.",
    epilog="Start with `copylens demo`. Then bring your own corpus: `copylens run --config X`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
