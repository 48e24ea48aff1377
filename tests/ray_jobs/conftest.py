"""One finished run that the tests of this folder may read."""

import pytest

from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture(scope="session")
def finished(cluster, lm_folder, tmp_path_factory):
    """(config, summaries) of a whole run."""
    folder = tmp_path_factory.mktemp("finished")
    write_corpus(folder)
    config = tiny_config(folder, lm_folder("gpt_neox"))
    return config, list(run_stages(config, ("ingest", "embed", "train", "evaluate", "promote")))
