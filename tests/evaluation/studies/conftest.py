"""A finished run without a cluster, for the studies to look at."""

import pytest

from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus, load_manifest
from copylens.evaluation.answers import load_evaluation
from copylens.evaluation.studies.inputs import StudyInput
from copylens.fit.data import load_training_data
from copylens.fit.model import fit_model
from copylens.fit.networks import FitState, fit_networks
from copylens.states.embed import ShardEmbedder, plan
from copylens.store import storage
from copylens.store.stages import complete
from copylens.verdict.lineage import lineage_of
from copylens.verdict.scorer import Scorer
from tests.pipeline_samples import tiny_config, write_corpus


def run_in_process(config: RunConfig) -> Scorer:
    """Ingest, embed and train; leaves what the evaluate stage expects."""
    ingest_corpus(config)
    embed = ShardEmbedder(config)
    for task in plan(config):
        embed(task)
    manifest = load_manifest(config.output)
    data = load_training_data(config)
    model = fit_model(config, data, fit_networks(config, data, FitState()))
    scorer = Scorer(model, manifest.rights, config, lineage_of(config))
    scorer.save(storage.join(config.output, "model"))
    complete(config, "train", "inputs", "model hash", {"seconds": 1.0})
    return scorer


@pytest.fixture(scope="session")
def study(lm_folder, tmp_path_factory) -> StudyInput:
    folder = tmp_path_factory.mktemp("study")
    write_corpus(folder, per_class=32)
    settings = {
        "studies": ["controls", "robustness", "leave_one_out", "lm_outputs", "in_corpus"],
        "study_passages": 12,
        "refit_passages": 45,
        "prompts": 2,
        "control_model": str(lm_folder("llama")),
        "never_trained": ["law"],
        "in_corpus_unread": [0],
        "near_ood": ["kitchen"],
    }
    config = tiny_config(folder, lm_folder("gpt_neox"), evaluation=settings)
    return StudyInput(config, load_evaluation(config, run_in_process(config)), "tfidf_word_masked")
