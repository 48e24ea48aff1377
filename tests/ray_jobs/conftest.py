"""One Ray for all tests of this folder, and one finished run that they may read."""

import logging

import pytest
import ray

from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture(scope="session")
def cluster():
    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=200 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def finished(cluster, lm_folder, tmp_path_factory):
    """(config, summaries) of a whole run."""
    folder = tmp_path_factory.mktemp("finished")
    write_corpus(folder)
    config = tiny_config(folder, lm_folder("gpt_neox"))
    return config, list(run_stages(config, ("ingest", "embed", "train", "evaluate", "promote")))
