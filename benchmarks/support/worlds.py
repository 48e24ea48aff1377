"""Logs of verdicts whose true mixture is known, from a generative world: no model, no file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copylens.fit.confusion import HeldOutShares

MODEL = {"name": "copylens", "version": "3", "probe": "tiny", "probe_revision": None}


@dataclass(frozen=True)
class World:
    """How verdicts fall for texts of each origin; axis C ends with `unregistered`.

    A document's texts scatter around a row of its own, which scatters around its origin's row.
    """

    rows: np.ndarray
    document_spread: float = 30.0
    text_spread: float = 1.5

    @property
    def origins(self) -> int:
        return len(self.rows)

    def shares(self, rng: np.random.Generator, origins: np.ndarray, documents: np.ndarray):
        """[N, C] shares of texts of these origins and documents."""
        result = np.empty((len(origins), self.origins))
        own: dict[int, np.ndarray] = {}
        for n, (origin, document) in enumerate(zip(origins, documents)):
            if document not in own:
                own[document] = rng.dirichlet(self.rows[origin] * self.document_spread + 1e-3)
            result[n] = rng.dirichlet(own[document] * self.text_spread + 1e-3)
        return result

    def held_out(self, rng: np.random.Generator, passages: int = 60, group: int = 3):
        """What a training run would keep: `passages` of each origin, `group` to a work."""
        labels = np.repeat(np.arange(self.origins), passages)
        groups = np.arange(len(labels)) // group
        return HeldOutShares(self.shares(rng, labels, groups), labels, groups)

    def log(self, rng: np.random.Generator, mixture: np.ndarray, texts: int):
        """[texts, C] shares of a log drawn from the mixture, a text a document."""
        origins = rng.choice(self.origins, texts, p=mixture)
        return self.shares(rng, origins, np.arange(texts))


def certain(origins: int) -> HeldOutShares:
    """So many held-out passages, of two works each, whose verdicts are right and sure."""
    labels = np.repeat(np.arange(origins), 10_000)
    return HeldOutShares(np.eye(origins)[labels], labels, 2 * labels + np.arange(len(labels)) % 2)


def world(rng: np.random.Generator, sub_datasets: int = 8, accuracy: float = 0.75) -> World:
    """Registered texts keep about a third for `unregistered`, unregistered ones three fifths."""
    K = sub_datasets
    rows = np.zeros((K + 1, K + 1))
    for j in range(K):
        others = rng.dirichlet(np.full(K, 0.7))
        others[j] = 0
        right = np.clip(accuracy + 0.08 * rng.normal(), 0.2, 0.97)
        rows[j, :K] = others / others.sum() * (1 - right)
        rows[j, j] = right
        rows[j, K] = np.clip(0.35 + 0.05 * rng.normal(), 0.05, 0.9)
        rows[j, :K] *= 1 - rows[j, K]
    rows[K, :K] = 0.4 * rng.dirichlet(np.ones(K))
    rows[K, K] = 0.6
    return World(rows)


def verdict(shares: np.ndarray, row: int, **more: object) -> dict:
    """A verdict's JSON as score writes it, of the fields that a statement reads."""
    names = [f"s{k}" for k in range(len(shares) - 1)]
    return {
        "row": row,
        "shares": [
            {
                "sub_dataset": name,
                "holder": f"Holder {name}",
                "license": "all rights reserved",
                "share": float(share),
                "low": 0.0,
                "high": 1.0,
            }
            for name, share in zip(names, shares)
        ],
        "unregistered": float(shares[-1]),
        "model": MODEL,
        **more,
    }


def write_log(path: Path, verdicts: list[dict]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in verdicts))
    return path
