"""`python -m benchmarks.verdict.detector RUN ...`: which score tells strangers, leave-one-set-out.

For every finished run: AUROC of registered test texts (of one source, and of several) against its
unregistered ones, of single scores and of combinations. Then, for each run, the combination that is
best on the others, and what it has on this one. The last line of its output is one JSON object.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copylens.attributor.mixtures import make_mixtures
from copylens.config.load import load_config
from copylens.corpus import load_manifest
from copylens.detector.auroc import auroc
from copylens.detector.measures import STYLE, SUPPORT, Measures
from copylens.detector.open_set import open_scores
from copylens.detector.typicality import combined
from copylens.evaluation.metrics import fpr95
from copylens.fit.data import load_texts
from copylens.records import FloatArray
from copylens.verdict.scorer import Scorer

_MIXTURES = 300
_STYLE_WEIGHTS = (0.0, 0.03, 0.1, 0.2, 0.3, 1.0)


@dataclass(frozen=True)
class Sides:
    """What the detector measured of a run's test texts: of one source, of several, of none."""

    scorer: Scorer
    pure: Measures
    mixed: Measures
    foreign: Measures

    def figures(self, weights: Mapping[str, float], as_whole: bool) -> dict[str, float]:
        """AUROC of both kinds of registered texts, and FPR95 of those of one source.

        Args:
            weights: test -> weight; those of weight 0 are left out.
            as_whole: every text read as one source's, as simple scores do.
        """
        pure, mixed, foreign = (
            self._score(measured, weights, as_whole)
            for measured in (self.pure, self.mixed, self.foreign)
        )
        return {
            "auroc": auroc(pure, foreign),
            "auroc_mixed": auroc(mixed, foreign),
            "fpr95": fpr95(pure, foreign),
        }

    def _score(
        self, measured: Measures, weights: Mapping[str, float], as_whole: bool
    ) -> FloatArray:
        level = self.scorer.model.detector.levels[-1]
        chosen = {name: weight for name, weight in weights.items() if weight}
        whole, changing = (
            combined({n: tests[n].surprise(values[n]) for n in chosen}, chosen)
            for tests, values in (
                (level.whole, measured.whole),
                (level.changing, measured.changing),
            )
        )
        part = 0.0 if as_whole else measured.mixed
        return np.asarray((1 - part) * whole + part * changing)


def main() -> None:
    """Prints the table and the choices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    words = parser.parse_args()
    missing = [str(run) for run in words.runs if not (run / "model").exists()]
    if missing:
        parser.error(f"no model in {', '.join(missing)}; run `copylens run` first")
    sides = {run.name: read(run) for run in words.runs}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, side in sides.items():
        found[name] = {
            "support, as a whole": side.figures({SUPPORT: 1.0}, as_whole=True),
            "style, as a whole": side.figures({STYLE: 1.0}, as_whole=True),
        }
        for weight in _STYLE_WEIGHTS:
            weights = {SUPPORT: 1.0, STYLE: weight}
            found[name][f"style {weight:g}"] = side.figures(weights, as_whole=False)
        for title, figures in found[name].items():
            told = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
            print(f"{name:12s} {title:22s} {told}")
    print(json.dumps({"chosen_on_the_others": left_out(found), "runs": list(found)}))


def read(run: Path) -> Sides:
    """Scores a run's test texts, and mixtures of them."""
    config = load_config(str(run / "config.yaml"))
    config = config.model_copy(update={"output": str(run)})
    scorer = Scorer.load(str(run / "model"))
    names = load_manifest(config.output).sub_datasets
    test, foreign = (load_texts(config, split, names) for split in ("test", "ood_test"))
    most = config.attributor.mixture_parts
    mixtures = make_mixtures(test.texts, test.states, test.labels, _MIXTURES, most, config.seed)
    texts = [mixture.text for mixture in mixtures]
    joined = texts, scorer.reader.states(texts)
    sets = ((test.texts, test.states), joined, (foreign.texts, foreign.states))
    attributor, detector = scorer.model.attributor, scorer.model.detector
    return Sides(
        scorer,
        *(
            open_scores(attributor, detector, attributor.channels.scores(*some)).measures
            for some in sets
        ),
    )


def left_out(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Run -> the style weight with the best mean AUROC on the other runs, and its AUROC here."""
    choices = {}
    for name, figures in found.items():
        others = [theirs for other, theirs in found.items() if other != name] or [figures]
        weight = max(
            _STYLE_WEIGHTS,
            key=lambda weight: np.mean([theirs[f"style {weight:g}"]["auroc"] for theirs in others]),
        )
        choices[name] = {"style_weight": weight, **figures[f"style {weight:g}"]}
    return choices


if __name__ == "__main__":
    main()
