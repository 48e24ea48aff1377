"""What a fit reads of a corpus: split groups are told apart by sub-dataset and name."""

from pathlib import Path

import numpy as np

from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus, read_split
from copylens.detector.calibration import Conformal
from copylens.fit.cross_fit import CrossFit
from copylens.fit.data import TrainingData, load_training_data
from copylens.records import REGISTERED_SPLITS
from tests.pipeline_samples import WORDS

FILES = 12


def two_folders(folder: Path, seed: int = 0) -> RunConfig:
    """Two sub-datasets whose files have the same names."""
    rng = np.random.default_rng(1)
    for name in ("sea", "law"):
        (folder / name).mkdir(parents=True)
        for n in range(FILES):
            text = " ".join(rng.choice(WORDS[name], 60)) + f" {name} {n}"
            (folder / name / f"ch{n:02d}.txt").write_text(text)
    paths = [str(folder / name) for name in ("sea", "law")]
    output = {"output": str(folder / "run"), "seed": seed}
    return build_config({"corpus": {"paths": paths}, "channels": {"attention": False}, **output})


def read(config: RunConfig) -> TrainingData:
    ingest_corpus(config)
    return load_training_data(config)


def test_files_of_one_name_in_two_folders_land_independently(tmp_path):
    """Never tied to each other: over some seeds a name lands in other splits than its namesake."""
    apart = 0
    for seed in range(3):
        config = two_folders(tmp_path / str(seed), seed)
        ingest_corpus(config)
        splits = {p.group: s for s in REGISTERED_SPLITS for p in read_split(config.output, s)}
        assert len(splits) == 2 * FILES
        apart += sum(
            splits["sea", f"ch{n:02d}.txt"] != splits["law", f"ch{n:02d}.txt"] for n in range(FILES)
        )
    assert apart > 3


def test_folds_and_calibration_count_namesakes_as_two_groups(tmp_path):
    data = read(two_folders(tmp_path))
    names = {name for _, name in (*data.train.groups, *data.val.groups)}
    assert len(names) < len({*data.train.groups, *data.val.groups}), "else this tests nothing"
    assert {name for _, name in data.val.groups} & {name for _, name in data.train.groups}
    # A val file is new to train although its namesake is not: no fold has to be left out.
    assert not CrossFit.plan(two_folders(tmp_path / "x"), data.train, data.val).folds
    assert len(set(data.val.group_index)) == len(data.val)
    conformal = Conformal.fit(np.arange(len(data.val), dtype=float), data.val.group_index)
    np.testing.assert_allclose(conformal.weights, 1)
