"""What is trained on what: the settings of the check, and the halves of the sub-datasets."""

from dataclasses import asdict, dataclass

import numpy as np

from copylens.records import BoolArray
from ray_jobs.demo.lm import LmRecipe

RECIPE = LmRecipe(
    vocabulary=2048, context=256, width=96, layers=2, heads=4, batch=8, block=256, steps=0
)


@dataclass(frozen=True)
class Plan:
    """Settings of the whole check; equal plans on equal data find each other's LMs again.

    Attributes:
        recipe: size of every LM; `steps` follows from the passes.
        blocks: blocks of `recipe.block` tokens that each sub-dataset gives, the same for all.
        passes: how often an LM reads its corpus.
        tuning: LMs on which settings are chosen, with val queries.
        judging: LMs on which figures are measured, with test queries.
        seed: of weights, order of the blocks, and halves.
    """

    recipe: LmRecipe = RECIPE
    blocks: int = 256
    passes: int = 2
    tuning: int = 8
    judging: int = 24
    seed: int = 0

    def to_dict(self) -> dict[str, object]:
        """What the LMs depend on, JSON-ready; how many there are is no part of it."""
        found = asdict(self)
        return {key: found[key] for key in ("recipe", "blocks", "passes", "seed")}


def random_halves(lms: int, sub_datasets: int, seed: int) -> BoolArray:
    """Membership [M, K]: a random half of the sub-datasets, then the other half, and so on.

    So every sub-dataset is in exactly half of the LMs, and every LM has read as much as any other.
    The first rows do not depend on how many follow.

    Raises:
        ValueError: an odd number of LMs or of sub-datasets has no such halves.
    """
    if lms % 2 or sub_datasets % 2:
        raise ValueError(
            f"halves come in pairs: {lms} LMs and {sub_datasets} sub-datasets must both be even"
        )
    rng = np.random.default_rng(seed)
    members = np.zeros((lms, sub_datasets), dtype=bool)
    for pair in range(0, lms, 2):
        half = rng.permutation(sub_datasets)[: sub_datasets // 2]
        members[pair, half] = True
        members[pair + 1] = ~members[pair]
    return members
