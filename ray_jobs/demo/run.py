"""`copylens demo`: installed packages' source code, an LM trained on the spot, five verdicts."""

import json
from pathlib import Path

from rich.console import Console

from copylens.cli import display
from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.generation.live import generate
from copylens.progress import progress
from copylens.registry.reader import load_scorer
from copylens.registry.server import tracking_uri
from copylens.store import storage
from copylens.store.stages import stages_of
from copylens.verdict.scorer import Scorer
from ray_jobs import audit
from ray_jobs.cluster.session import ray_session
from ray_jobs.demo.lm import LmRecipe, train_lm
from ray_jobs.pipeline import run_stages

_CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
_TEXTS = 5
_PROMPT_CHARS = 160
_SMALL = ("corpus.max_passages=60", "attributor.epochs=6", "detector.epochs=5")


def run_demo(output: Path, small: bool) -> None:
    """Runs every stage, prints the table, then scores texts that the LM generates."""
    console = Console(highlight=False)
    overrides = [f"output={json.dumps(str(output))}", *(_SMALL if small else ())]
    folder = str(output.absolute() / "lm")
    config = load_config(_CONFIG, [*overrides, f"probe.model={json.dumps(folder)}"])
    console.print("[bold]CopyLens demo[/]: the source code of installed Python packages")
    for summary in run_stages(config, ("ingest",)):
        display.stage(summary)
    _train_lm_once(config, Path(folder), small, console)
    version = ""
    with ray_session(config):
        # Before promote: the audit's findings are part of the version.
        found = audit.run(config)
        for summary in run_stages(config, stages_of(config)[1:]):
            display.stage(summary)
            version = summary.get("version", version)
    display.report(storage.read_json(storage.join(config.output, "report.json")))
    display.audit(storage.read_json(found["audit"]))
    # This run's own version, whether or not it passed the gates.
    uri = f"models:/{config.tracking.model_name}/{version}"
    scorer = load_scorer(uri, tracking_uri(config.tracking.uri))
    _write_and_judge(config, scorer, console)
    console.print(f"\nreport: {output.absolute() / 'report.html'}")
    console.print("next: echo 'import numpy as np' | copylens score -")
    console.print("      copylens generate --prompt 'def fit(self, X, y):'")
    console.print("      copylens run --config configs/books.yaml --set corpus.paths=[YOURS.jsonl]")


def _train_lm_once(config: RunConfig, folder: Path, small: bool, console: Console) -> None:
    """Trains the LM on the training split, unless it was trained on this very corpus."""
    recipe = LmRecipe(steps=150) if small else LmRecipe()
    key = {"corpus": load_manifest(config.output).hash, "recipe": vars(recipe)}
    marker = folder / "read.json"
    if marker.exists() and json.loads(marker.read_text()) == key:
        console.print("[bold]lm       [/] already trained, nothing to do")
        return
    texts = [passage.text for passage in read_split(config.output, "train")]
    with progress("lm", recipe.steps, "steps") as advance:
        facts = train_lm(texts, folder, recipe, config.seed, advance)
    marker.write_text(json.dumps(key))
    console.print(
        f"[bold]lm       [/] GPT-NeoX of {facts['parameters'] / 1e6:.1f} M parameters, "
        f"read {facts['tokens'] / 1e3:.0f} k tokens, loss {facts['final_loss']:.2f}, "
        f"{facts['seconds']:.0f} s"
    )


def _write_and_judge(config: RunConfig, scorer: Scorer, console: Console) -> None:
    """The LM continues the openings of held-out files; each text gets its verdict."""
    held_out = {p.sub_dataset: p for p in read_split(config.output, "test")}
    for passage in list(held_out.values())[:_TEXTS]:
        console.print(f"\n[bold]the LM goes on from a file of {passage.sub_dataset}[/]")
        prompt = passage.text[:_PROMPT_CHARS]
        steps = list(generate(scorer, prompt, max_tokens=200, every=200, seed=config.seed))
        final = [step for step in steps if step.verdict is not None]
        if final and final[-1].verdict is not None:
            display.verdict(final[-1].text, final[-1].verdict)
