"""Shared fixtures: a tiny random LM of each family, and texts that need no file."""

import logging
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# The same examples in every run, and no clock: a busy machine is no mistake of ours.
settings.register_profile(
    "copylens", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("copylens")
# Tests share two cores with Ray's processes: more threads only fight each other. For linear algebra
# also in the processes that tests start: sums in another order differ in the last digits, and runs
# are compared digit by digit.
torch.set_num_threads(1)
threadpool_limits(1, user_api="blas")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

TEXTS = [
    "The sea was calm, and the old captain said nothing for a while.",
    "def add(a, b):\n    return a + b\n",
    "A short one.",
    "We present a method for the analysis of proteins, and discuss its limits. " * 3,
]


@pytest.fixture(scope="session")
def lm_folder(tmp_path_factory: pytest.TempPathFactory):
    """Returns a function: model family -> folder of a tiny random LM with its tokenizer."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            save_tiny_lm(family, made[family])
        return made[family]

    return folder


def save_tiny_lm(family: str, folder: Path) -> None:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        AutoModel,
        AutoModelForCausalLM,
        BertConfig,
        GPT2Config,
        GPTNeoXConfig,
        LlamaConfig,
        PreTrainedTokenizerFast,
    )

    specials = ["<|end|>", "[CLS]", "[SEP]", "[PAD]"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS, vocab_size=400, special_tokens=specials, show_progress=False)
    backend = bpe._tokenizer
    if family == "bert":
        from tokenizers.processors import BertProcessing

        backend.post_processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="[PAD]"
    ).save_pretrained(folder)
    size = {"vocab_size": backend.get_vocab_size(), "max_position_embeddings": 64}
    wide = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    configs = {
        "gpt_neox": lambda: GPTNeoXConfig(**size, **wide, intermediate_size=32),
        "llama": lambda: LlamaConfig(
            **size, **wide, intermediate_size=32, num_key_value_heads=2, bos_token_id=0
        ),
        "bert": lambda: BertConfig(**size, **wide, intermediate_size=32),
        "gpt2": lambda: GPT2Config(
            vocab_size=size["vocab_size"], n_positions=64, n_embd=16, n_layer=3, n_head=2
        ),
    }
    torch.manual_seed(3)
    auto = AutoModel if family == "bert" else AutoModelForCausalLM
    # Eager attention gives the attention weights that the reference needs.
    model = auto.from_config(configs[family](), attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            # Larger than the initialiser's, so that a wrong layer or mask shows.
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development corpora, where they are at hand."""
    folder = Path(os.environ.get("COPYLENS_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the development corpora are not here ($COPYLENS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def cluster():
    import ray

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
    """(config, summaries) of a run without an index, for tests that only read it."""
    from ray_jobs.pipeline import run_stages
    from tests.pipeline_samples import WITHOUT_INDEX, tiny_config, write_corpus

    folder = tmp_path_factory.mktemp("finished")
    write_corpus(folder)
    config = tiny_config(folder, lm_folder("gpt_neox"))
    return config, list(run_stages(config, WITHOUT_INDEX))
