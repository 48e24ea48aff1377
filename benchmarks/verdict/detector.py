"""`python -m benchmarks.verdict.detector RUN ...`: which score tells strangers, leave-one-set-out.

For every finished run: AUROC of registered test texts (of one source, and of several) against its
unregistered ones, of single scores and of combinations; `auroc_new` where exposure was fitted
without the kind of these. Then, for each run, the weights that are best on the others, and what
they have on this one. The last line of its output is one JSON object.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from copylens.attributor.attention.dataset import state_set
from copylens.attributor.attention.exposure import fit_exposures
from copylens.attributor.attributor import EXPOSURE
from copylens.attributor.mixtures import make_mixtures
from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest
from copylens.detector.auroc import auroc
from copylens.detector.detector import WEIGHTS
from copylens.detector.measures import STYLE, SUPPORT, Measures, measure
from copylens.detector.typicality import combined
from copylens.evaluation.metrics import fpr95
from copylens.fit.data import TextSet, load_texts
from copylens.records import FloatArray, IntArray, States
from copylens.verdict.scorer import Scorer

_MIXTURES = 300
# In place of an exposure: the model's own.
_ALL = object()
_WEIGHTS = (0.0, 0.03, 0.1, 0.2, 0.3, 1.0)
_VARIED = (STYLE, EXPOSURE)


@dataclass(frozen=True)
class Sides:
    """What the detector measured of a run's test texts: of one source, of several, of none.

    Attributes:
        new: per kind of unregistered test texts, those of one source and these, where nothing was
            learned from the kind.
    """

    scorer: Scorer
    pure: Measures
    mixed: Measures
    foreign: Measures
    new: tuple[tuple[Measures, Measures], ...]

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
        new = [
            auroc(*(self._score(side, weights, as_whole) for side in sides)) for sides in self.new
        ]
        return {
            "auroc": auroc(pure, foreign),
            "auroc_mixed": auroc(mixed, foreign),
            "fpr95": fpr95(pure, foreign),
            "auroc_new": float(np.mean(new)),
        }

    def _score(
        self, measured: Measures, weights: Mapping[str, float], as_whole: bool
    ) -> FloatArray:
        level = self.scorer.model.detector.levels[-1]
        measured_here = measured.whole.keys() & level.whole.keys()
        chosen = {n: weight for n, weight in weights.items() if weight and n in measured_here}
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
        for varied, weight in product(_VARIED, _WEIGHTS):
            weights = WEIGHTS | {varied: weight}
            found[name][f"{varied} {weight:g}"] = side.figures(weights, as_whole=False)
        for title, figures in found[name].items():
            told = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
            print(f"{name:12s} {title:22s} {told}")
    chosen = {varied: left_out(found, varied) for varied in _VARIED}
    print(json.dumps({"chosen_on_the_others": chosen, "runs": list(found)}))


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
    return Sides(scorer, *(measures(scorer, some) for some in sets), new_kinds(config, scorer))


def measures(
    scorer: Scorer, given: tuple[Sequence[str], Sequence[States]], without: object = _ALL
) -> Measures:
    """What the detector measures of texts.

    Args:
        without: the exposure in place of the model's; None: none at all.
    """
    attributor, detector = scorer.model.attributor, scorer.model.detector
    channels = attributor.channels
    if without is not _ALL:
        channels = replace(channels, exposure=without)
    scores = channels.scores(*given)
    return measure(attributor, scores, attributor.explanations(scores), detector.space)


def new_kinds(config: RunConfig, scorer: Scorer) -> tuple[tuple[Measures, Measures], ...]:
    """See `Sides.new`; without an exposure all kinds are new."""
    names = load_manifest(config.output).sub_datasets
    train, given, test, foreign = (
        load_texts(config, split, names) for split in ("train", "ood_val", "test", "ood_test")
    )
    kinds = [np.array([kind for kind, _ in some.groups]) for some in (given, foreign)]
    found = []
    for kind in np.unique(kinds[1]):
        exposure, part = _ALL, np.flatnonzero(kinds[0] == kind)
        if scorer.model.attributor.channels.exposure is not None and len(part):
            exposure = _exposure_without(train, given, part)
        texts = foreign.subset(np.flatnonzero(kinds[1] == kind))
        sides = (measures(scorer, (s.texts, s.states), exposure) for s in (test, texts))
        found.append(tuple(sides))
    return tuple(found)


def _exposure_without(train: TextSet, given: TextSet, part: IntArray) -> object:
    if len(part) == len(given):
        return None
    sets = (state_set([s.values for s in texts.states], texts.labels) for texts in (train, given))
    *_, (_, reader) = fit_exposures(*sets, np.full(len(train), -1), [part])
    return reader


def left_out(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], varied: str
) -> dict[str, dict[str, float]]:
    """Run -> the weight with the best mean AUROC of new kinds on the other runs, and its figures
    here.
    """
    choices = {}
    for name, figures in found.items():
        others = [theirs for other, theirs in found.items() if other != name] or [figures]
        weight = max(
            _WEIGHTS,
            key=lambda w: np.mean([theirs[f"{varied} {w:g}"]["auroc_new"] for theirs in others]),
        )
        choices[name] = {"weight": weight, **figures[f"{varied} {weight:g}"]}
    return choices


if __name__ == "__main__":
    main()
