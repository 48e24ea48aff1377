"""`copylens demo`: installed packages' source code, first by its words, then with a real LM."""

import json
from pathlib import Path

from rich.console import Console

from copylens.cli import display
from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.corpus import read_split
from copylens.generation.live import generate
from copylens.records import Passage
from copylens.registry.reader import load_scorer
from copylens.registry.server import tracking_uri
from copylens.store import storage
from copylens.store.stages import stages_of
from copylens.verdict.scorer import Scorer
from ray_jobs.cluster.session import ray_session
from ray_jobs.pipeline import run_stages

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
SMALL = ("corpus.max_passages=36",)
_WRITTEN = 3
_PROMPT_CHARS = 400
_TOKENS = 200
_QUOTED_CHARS = 500


def run_demo(output: Path, small: bool) -> None:
    """The first verdict by words and spans within two minutes; then the LM reads, and writes."""
    console = Console(highlight=False)
    overrides = [f"output={json.dumps(str(output))}", *(SMALL if small else ())]
    config = load_config(CONFIG, overrides)
    console.print("[bold]CopyLens demo[/]: the source code of installed Python packages")
    words = load_config(CONFIG, [*overrides, "channels.attention=false", "probe.model=null"])
    with ray_session(config):
        _by_words(words, console)
        version = _with_the_lm(config, console)
    # This run's own version, whether or not it passed the gates.
    uri = f"models:/{config.tracking.model_name}/{version}"
    scorer = load_scorer(uri, tracking_uri(config.tracking.uri))
    _judge_what_the_lm_writes(config, scorer, console)
    _judge_the_rest(config, scorer, console)
    console.print(f"\nreport: {output.absolute() / 'report.html'}")
    console.print("next: copylens serve    and then http://127.0.0.1:8000 in a browser")
    console.print("      echo 'import numpy as np' | copylens score -")
    console.print("      copylens generate --prompt 'def fit(self, X, y):'")
    console.print("      copylens run --config configs/books.yaml --set corpus.paths=[YOURS.jsonl]")


def _by_words(config: RunConfig, console: Console) -> None:
    """Words and spans need no LM: a text with a copied stretch gets its verdict at once."""
    for summary in run_stages(config, ("ingest", "index", "train")):
        display.stage(summary)
    scorer = Scorer.load(storage.join(config.output, "model"))
    copied, own = _of_each(config, "train")[-1], _of_each(config, "test")[0]
    text = own.text[:_QUOTED_CHARS] + "\n" + copied.text[:_QUOTED_CHARS]
    console.print(
        f"\n[bold]by words alone[/]: a file of {own.sub_dataset} held out of training, then a "
        f"stretch of {copied.sub_dataset}"
    )
    _judge(scorer, text)


def _with_the_lm(config: RunConfig, console: Console) -> str:
    """The LM reads its sample of the passages; returns the version that was registered."""
    console.print(f"\n[bold]with an LM[/]: {config.probe.model} reads a sample of it")
    version = ""
    for summary in run_stages(config, stages_of(config)):
        display.stage(summary)
        version = summary.get("version", version)
    display.report(storage.read_json(storage.join(config.output, "report.json")))
    return version


def _judge_what_the_lm_writes(config: RunConfig, scorer: Scorer, console: Console) -> None:
    """The LM continues the openings of held-out files; each text gets its verdict."""
    for passage in _of_each(config, "test")[:_WRITTEN]:
        console.print(f"\n[bold]the LM goes on from a file of {passage.sub_dataset}[/]")
        prompt = passage.text[:_PROMPT_CHARS]
        steps = generate(scorer, prompt, max_tokens=_TOKENS, every=_TOKENS, seed=config.seed)
        for step in steps:
            if step.verdict is not None and step.text.strip():
                display.verdict(step.text, step.verdict)


def _judge_the_rest(config: RunConfig, scorer: Scorer, console: Console) -> None:
    """A text of two sources, and one of none."""
    first, second = _of_each(config, "test")[-2:]
    halves = f"half {first.sub_dataset}, half {second.sub_dataset}"
    console.print(f"\n[bold]{halves}[/], both held out of training")
    _judge(scorer, first.text[:800] + "\n" + second.text[:800])
    stranger = read_split(config.output, "ood_test")[0]
    console.print(f"\n[bold]a file of {stranger.sub_dataset}[/], which nobody has registered")
    _judge(scorer, stranger.text)


def _judge(scorer: Scorer, text: str) -> None:
    display.verdict(text, scorer.verdicts([text], evidence=True)[0])


def _of_each(config: RunConfig, split: str) -> list[Passage]:
    """The last passage of a split of every sub-dataset, by their names."""
    found = {p.sub_dataset: p for p in read_split(config.output, split)}  # type: ignore[arg-type]
    return [found[name] for name in sorted(found)]
