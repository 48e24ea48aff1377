"""`python -m benchmarks.takedown RUN [--removals N]`: do the other shares keep their order?

Takes sub-datasets of a finished run out of its model, one at a time and in memory, and compares
the shares of the others on test passages that had none of it. The last line is one JSON object.
"""

import argparse
import json
import time

import numpy as np

from copylens.attributor.attributor import shares_of
from copylens.corpus import load_manifest
from copylens.fit.data import TextSet, load_texts
from copylens.store import storage
from copylens.takedown.model import attributor_without
from copylens.verdict.scorer import Scorer

# A text whose share of it is smaller, of all registered shares, had none of it.
_NONE = 0.01
# Shares that a reader would see.
_SEEN = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--removals", type=int, default=4)
    words = parser.parse_args()
    names = load_manifest(words.run).sub_datasets
    scorer = Scorer.load(storage.join(words.run, "model"))
    config = scorer.config.model_copy(update={"output": words.run})
    train, test = (load_texts(config, split, names) for split in ("train", "test"))
    before = closed(scorer, test)
    places = np.linspace(0, len(names) - 1, min(words.removals, len(names))).astype(int)
    found = [one(scorer, int(place), train, test, before) for place in places]
    texts = sum(item["texts"] for item in found)
    means = {
        key: round(sum(item[key] * item["texts"] for item in found) / texts, 5)
        for key in ("top_kept", "seen_order_kept", "pairs_kept", "mean_change")
    }
    seconds = round(max(item["seconds"] for item in found), 1)
    largest = {
        key: round(max(item[key] for item in found), 4)
        for key in ("largest_change", "largest_swapped")
    }
    print(
        json.dumps(
            {"run": storage.name_of(words.run), "removals": len(found), "texts": texts}
            | means
            | largest
            | {"seconds": seconds}
        )
    )


def closed(scorer: Scorer, texts: TextSet) -> np.ndarray:
    """[N, K] shares as if all were registered."""
    scores = scorer.score(texts.texts, texts.states)
    return np.asarray(scores.shares / scores.shares.sum(axis=1, keepdims=True))


def one(
    scorer: Scorer, place: int, train: TextSet, test: TextSet, before: np.ndarray
) -> dict[str, float]:
    start = time.perf_counter()
    left = train.subset(np.flatnonzero(train.labels != place))
    smaller = attributor_without(scorer.model.attributor, place, left)
    seconds = time.perf_counter() - start
    none = np.flatnonzero((before[:, place] < _NONE) & (test.labels != place))
    if not len(none):
        name = scorer.model.attributor.sub_datasets[place]
        raise SystemExit(f"error: every test text has a share of '{name}'; name another run")
    part = test.subset(none)
    scores = smaller.channels.scores(part.texts, part.states)
    after = shares_of(smaller.timelines(scores), scores.spans)
    kept = np.delete(before[none], place, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    orders, pairs, gaps = zip(*(compared(a, b) for a, b in zip(kept, after)))
    return {
        "texts": len(none),
        "top_kept": float((kept.argmax(axis=1) == after.argmax(axis=1)).mean()),
        "seen_order_kept": float(np.mean(orders)),
        "pairs_kept": float(np.mean(pairs)),
        "largest_swapped": max(gaps),
        "mean_change": float(np.abs(kept - after).mean()),
        "largest_change": float(np.abs(kept - after).max()),
        "seconds": seconds,
    }


def compared(before: np.ndarray, after: np.ndarray) -> tuple[bool, float, float]:
    """Whether all seen shares keep their order, the fraction of all pairs that do, and how far
    apart two that changed places had been."""
    seen = np.flatnonzero(before >= _SEEN)
    same = bool((np.argsort(-before[seen]) == np.argsort(-after[seen])).all())
    first, second = np.triu_indices(len(before), 1)
    gap = before[first] - before[second]
    kept = np.sign(gap) == np.sign(after[first] - after[second])
    return same, float(kept.mean()), float(np.abs(gap[~kept]).max(initial=0.0))


if __name__ == "__main__":
    main()
