"""`copylens demo --audit`: an LM trained on the spot, so that an audit's answer can be checked."""

import json
from pathlib import Path

from rich.console import Console

from copylens.cli import display
from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.progress import progress
from copylens.store import storage
from ray_jobs import audit
from ray_jobs.cluster.session import ray_session
from ray_jobs.demo.lm import LmRecipe, train_lm
from ray_jobs.demo.run import CONFIG, SMALL
from ray_jobs.pipeline import run_stages


def run_audit(output: Path, small: bool) -> None:
    """Trains a small LM on the registered passages alone, and asks whether it was."""
    console = Console(highlight=False)
    folder = str(output.absolute() / "lm")
    named = [f"output={json.dumps(str(output))}", f"probe.model={json.dumps(folder)}"]
    config = load_config(CONFIG, [*named, *(SMALL if small else ())])
    console.print("[bold]CopyLens audit demo[/]: was this LM trained on these packages?")
    for summary in run_stages(config, ("ingest",)):
        display.stage(summary)
    _train_once(config, Path(folder), small, console)
    with ray_session(config):
        found = audit.run(config)
    display.audit(storage.read_json(found["audit"]))


def _train_once(config: RunConfig, folder: Path, small: bool, console: Console) -> None:
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
